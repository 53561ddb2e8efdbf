//! The picture: latency and bytes of each technique, on logarithmic axes, readable in light and
//! dark.

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;

use crate::report::{Results, Row};

const SIZE: (u32, u32) = (860, 320);
/// A colour for each technique, with enough contrast on white and on black.
const COLOURS: [RGBColor; 4] =
    [RGBColor(207, 83, 0), RGBColor(150, 112, 0), RGBColor(16, 133, 72), RGBColor(46, 113, 214)];
/// What is drawn in this colour takes the colour of the reader's text instead.
const INK: RGBColor = RGBColor(1, 2, 3);
/// Text and lines follow the reader's theme.
const STYLE: &str = "<style>svg>rect:first-of-type{fill:#fff}text{fill:#1f2328;font-family:system-ui,sans-serif}\
    [stroke=\"#010203\"]{stroke:#1f2328}\
    @media(prefers-color-scheme:dark){svg>rect:first-of-type{fill:#0d1117}text{fill:#e6edf3}[stroke=\"#010203\"]{stroke:#e6edf3}}</style>\
    <rect width=\"100%\" height=\"100%\" rx=\"8\"/>";

/// Draws the results as SVG.
pub fn svg(results: &Results) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, &results.0).map_err(|error| anyhow!("the picture can't be drawn: {error}"))?;
    let start = svg.find('>').map_or(0, |end| end + 1);
    svg.insert_str(start, STYLE);
    Ok(svg)
}

fn draw(svg: &mut String, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let (left, right) = area.split_horizontally(SIZE.0 * 57 / 100);
    let latency = |row: &Row| row.latency_ms.map(|latency| latency.max(0.01)).to_vec();
    panel(
        &left,
        130,
        "latency: p50, p99, longest (logarithmic)",
        &[(1000.0, "s"), (1.0, "ms")],
        rows,
        latency,
    )?;
    let bytes = |row: &Row| vec![row.up + row.down];
    panel(
        &right,
        10,
        "bytes per update and client (logarithmic)",
        &[(1000.0, "KB"), (1.0, "B")],
        rows,
        bytes,
    )?;
    area.present()?;
    Ok(())
}

/// A row for each technique, with a line through its values.
fn panel(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    names: u32,
    title: &str,
    units: &[(f64, &str)],
    rows: &[Row],
    values: impl Fn(&Row) -> Vec<f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let all: Vec<f64> = rows.iter().flat_map(&values).collect();
    let from = all.iter().copied().fold(f64::INFINITY, f64::min).log10().floor();
    let to = all.iter().copied().fold(0.0, f64::max).log10().ceil().max(from + 1.0);
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(16))
        .margin_right(30)
        .margin_bottom(8)
        .margin_top(8)
        .x_label_area_size(28)
        .y_label_area_size(names)
        .build_cartesian_2d(Decades(from, to), 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_label_style(text(13))
        .x_label_formatter(&|decade| with_unit(10_f64.powf(*decade), units))
        .bold_line_style(INK.mix(0.2))
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .draw()?;
    let plain = area.strip_coord_spec();
    let (pixels, _) = area.get_pixel_range(); // a panel's own pixels begin at 0
    for (index, row) in rows.iter().enumerate() {
        let y = rows.len() as f64 - index as f64 - 0.5;
        let colour = COLOURS[index % COLOURS.len()];
        let values = values(row);
        let points: Vec<_> = values.iter().map(|value| (value.log10(), y)).collect();
        if names > 10 {
            let (x, pixel) = chart.backend_coord(&(from, y));
            let place = (x - pixels.start - 122, pixel - 8);
            plain.draw(&Text::new(row.technique.clone(), place, text(14)))?;
        }
        let first = points.first().copied().unwrap_or_default();
        let line = if points.len() == 1 { vec![(from, y), first] } else { points.clone() };
        chart.draw_series([PathElement::new(line, colour.stroke_width(6))])?;
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 6, colour.filled())))?;
        let (x, pixel) = chart.backend_coord(&first);
        let label = with_unit(values[0], units);
        plain.draw(&Text::new(label, (x - pixels.start - 10, pixel - 26), text(13)))?;
    }
    Ok(())
}

/// A logarithmic axis in powers of ten, with a line at each.
#[derive(Clone)]
struct Decades(f64, f64);

impl Ranged for Decades {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.0) / (self.1 - self.0);
        #[expect(clippy::cast_possible_truncation, reason = "it is a pixel")]
        let pixels = (share * f64::from(limit.1 - limit.0)).round() as i32;
        limit.0 + pixels
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let mut decades = vec![self.0];
        while decades[decades.len() - 1] < self.1 {
            decades.push(decades[decades.len() - 1] + 1.0);
        }
        decades
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.0..self.1
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for Decades {}

fn with_unit(value: f64, units: &[(f64, &str)]) -> String {
    let (size, unit) =
        units.iter().find(|(size, _)| value >= *size).unwrap_or(&units[units.len() - 1]);
    let number = format!("{:.1}", value / size);
    let number = if value / size < 0.1 { format!("{:.2}", value / size) } else { number };
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}
