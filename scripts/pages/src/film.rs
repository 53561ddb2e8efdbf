//! A short film of what a browser shows: an animated PNG (APNG), of which each picture holds only what
//! has changed since the one before.

use std::fs::File;
use std::io::{BufWriter, Cursor};
use std::path::Path;
use std::time::{Duration, Instant};

use lab::browser::Browser;
use png::{BitDepth, BlendOp, ColorType, Compression, Decoder, Encoder, Transformations};

/// Bytes of a pixel: red, green, blue, and how opaque it is.
const PIXEL: usize = 4;

/// How long a picture stays at least, in milliseconds: the browser needs as long to take one.
const STAYS: u64 = 350;

/// What was filmed so far: each picture, and when it was taken.
pub struct Film {
    pictures: Vec<(Vec<u8>, Instant)>,
    size: (u32, u32),
}

/// The part of a picture that has changed.
struct Part {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    /// What has not changed in it is transparent.
    pixels: Vec<u8>,
}

impl Film {
    pub fn new() -> Film {
        Film { pictures: Vec::new(), size: (0, 0) }
    }

    /// Films for so many seconds.
    pub async fn hold(&mut self, browser: &Browser, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            self.shoot(browser).await;
        }
    }

    /// Films until a JavaScript expression in the page is true.
    pub async fn until(&mut self, browser: &Browser, awaited: &str, expression: &str) {
        for _ in 0..100 {
            self.shoot(browser).await;
            if browser.value(&format!("Boolean({expression})")).await == true {
                return;
            }
        }
        panic!("in vain: {awaited}");
    }

    async fn shoot(&mut self, browser: &Browser) {
        let taken = Instant::now();
        let png = browser.screenshot().await;
        let mut decoder = Decoder::new(Cursor::new(png));
        decoder.set_transformations(Transformations::ALPHA);
        let mut reader = decoder.read_info().expect("it is PNG");
        let mut picture = vec![0; reader.output_buffer_size().expect("it has a size")];
        let info = reader.next_frame(&mut picture).expect("it is whole");
        self.size = (info.width, info.height);
        if self.pictures.last().is_none_or(|(last, _)| *last != picture) {
            self.pictures.push((picture, taken));
        }
        tokio::time::sleep_until((taken + Duration::from_millis(STAYS)).into()).await;
    }

    /// Writes it; it is shown again and again.
    pub fn write(self, file: &Path) {
        let end = Instant::now();
        let (width, height) = self.size;
        let file = BufWriter::new(File::create(file).expect("it can be written"));
        let mut encoder = Encoder::new(file, width, height);
        encoder.set_color(ColorType::Rgba);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::High);
        let number = u32::try_from(self.pictures.len()).expect("it is small");
        encoder.set_animated(number, 0).expect("it has pictures");
        encoder.set_blend_op(BlendOp::Over).expect("it is animated");
        let mut writer = encoder.write_header().expect("it can be written");
        let mut before: Option<&Vec<u8>> = None;
        for (number, (picture, taken)) in self.pictures.iter().enumerate() {
            let next = self.pictures.get(number + 1).map_or(end, |(_, next)| *next);
            let stays = u16::try_from((next - *taken).as_millis()).unwrap_or(u16::MAX);
            let part = before.map_or_else(
                || Part { x: 0, y: 0, width, height, pixels: picture.clone() },
                |before| changed(before, picture, width),
            );
            writer.set_frame_delay(stays, 1000).expect("it is animated");
            writer.reset_frame_position().expect("it is animated");
            writer.set_frame_dimension(part.width, part.height).expect("it is within");
            writer.set_frame_position(part.x, part.y).expect("it is within");
            writer.write_image_data(&part.pixels).expect("it can be written");
            before = Some(picture);
        }
        writer.finish().expect("it can be written");
    }
}

/// What is different in two pictures, which are not the same.
fn changed(before: &[u8], picture: &[u8], width: u32) -> Part {
    let line = width as usize;
    let differs = |at: usize| before[at * PIXEL..][..PIXEL] != picture[at * PIXEL..][..PIXEL];
    let places = (0..picture.len() / PIXEL).filter(|at| differs(*at));
    let (mut left, mut right, mut top, mut bottom) = (line, 0, usize::MAX, 0);
    for at in places {
        let (x, y) = (at % line, at / line);
        (left, right) = (left.min(x), right.max(x));
        (top, bottom) = (top.min(y), y);
    }
    let mut pixels = Vec::new();
    for y in top..=bottom {
        for at in y * line + left..=y * line + right {
            let pixel = &picture[at * PIXEL..][..PIXEL];
            pixels.extend_from_slice(if differs(at) { pixel } else { &[0; PIXEL] });
        }
    }
    let small = |number: usize| u32::try_from(number).expect("it is within the picture");
    Part {
        x: small(left),
        y: small(top),
        width: small(right - left + 1),
        height: small(bottom - top + 1),
        pixels,
    }
}
