//! The pictures: on logarithmic axes, and readable on a light and on a dark ground.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;

use crate::figures::{Crowds, Distance, Measured, Row, What};
use crate::report::text::{count, unique};

const SIZE: (u32, u32) = (860, 380);
/// The size of a picture with lines, and how much of it the names of the lines take.
const LINES: (u32, u32) = (860, 430);
const NAMES: u32 = 170;
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

/// All that can be drawn of what was measured: each picture's file name, and itself.
pub fn all(measured: &Measured) -> Vec<(&'static str, Result<String>)> {
    let mut pictures = vec![("measured.svg", finished(SIZE, |area| draw(area, &measured.rows)))];
    if !measured.rates.is_empty() {
        pictures
            .push(("bytes.svg", finished(LINES, |area| crossover(area, measured, What::Bytes))));
        pictures.push(("cpu.svg", finished(LINES, |area| crossover(area, measured, What::Cpu))));
    }
    if measured.distances.iter().any(|it| it.rtt > 0) {
        pictures
            .push(("distance.svg", finished(LINES, |area| distance(area, &measured.distances))));
    }
    pictures
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn finished(size: (u32, u32), draw: impl FnOnce(&Area) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn = draw(&area).and_then(|()| Ok(area.present()?));
        drawn.map_err(|error| anyhow!("the picture can't be drawn: {error}"))?;
    }
    let start = svg.find('>').map_or(0, |end| end + 1);
    svg.insert_str(start, STYLE);
    Ok(svg)
}

fn draw(area: &Area, rows: &[Row]) -> Drawn {
    let (left, right) = area.split_horizontally(SIZE.0 * 57 / 100);
    let latency = |row: &Row| row.latency.map(|latency| latency.max(0.01)).to_vec();
    panel(
        &left,
        130,
        "latency (logarithmic)",
        &["p50", "p99", "longest"],
        &[(1000.0, "s"), (1.0, "ms")],
        rows,
        latency,
    )?;
    let bytes = |row: &Row| vec![row.up + row.down];
    panel(
        &right,
        10,
        "bytes per update and client (logarithmic)",
        &[""],
        &[(1000.0, "KB"), (1.0, "B")],
        rows,
        bytes,
    )
}

/// A line of a picture, which joins the points that were measured, and how far up and down the rounds
/// are from them; all in the axes' own measures.
struct Line {
    name: String,
    colour: RGBColor,
    width: u32,
    points: Vec<(f64, f64)>,
    bars: Vec<(f64, f64, f64)>,
}

/// Which colour is a technique's.
fn colour(name: &str) -> RGBColor {
    let order = ["polling", "long-polling", "server-sent-events", "websockets"];
    COLOURS[order.iter().position(|prefix| name.starts_with(prefix)).unwrap_or(0)]
}

/// How thick a line is: where an event stream's and a WebSocket's are one, both are seen.
fn width(name: &str) -> u32 {
    match name {
        "polling every 1 s" => 1,
        "server-sent-events" => 6,
        "websockets" => 2,
        _ => 3,
    }
}

/// What a client costs in a minute, over the rate of updates.
fn crossover(area: &Area, measured: &Measured, what: What) -> Drawn {
    let line = |name: &str| {
        let seen =
            measured.line(name).into_iter().map(|point| (point.rate.log10(), what.of(point)));
        let seen: Vec<_> = seen.collect();
        Line {
            name: name.to_owned(),
            colour: colour(name),
            width: width(name),
            points: seen.iter().map(|(rate, seen)| (*rate, seen.median.log10())).collect(),
            bars: seen
                .iter()
                .map(|(rate, it)| (*rate, it.least.log10(), it.most.log10()))
                .collect(),
        }
    };
    let lines: Vec<_> = measured.names().into_iter().map(line).collect();
    let rates = || lines.iter().flat_map(|line| line.points.iter().map(|(rate, _)| *rate));
    let (first, last) = (rates().fold(0.0, f64::min), rates().fold(0.0, f64::max));
    let (title, units): (_, &[(f64, &str)]) = match what {
        What::Bytes => ("bytes per client and minute", &[(1e6, "MB"), (1e3, "KB"), (1.0, "B")]),
        What::Cpu => ("server CPU per client and minute", &[(1e3, "ms"), (1.0, "µs")]),
    };
    let decades = Axis::decades(first, last);
    let rate = |value: f64| with_unit(10_f64.powf(value), &[(1.0, "")]);
    chart(area, title, ("updates a minute", decades, &rate), units, &lines)
}

/// Latency over the round trip: an update that comes alone, and the second of two where it is later.
fn distance(area: &Area, distances: &[Distance]) -> Drawn {
    let mut names: Vec<&str> = distances.iter().map(|it| &*it.name).collect();
    names.dedup();
    names.truncate(distances.iter().filter(|it| it.rtt == distances[0].rtt).count());
    let mut lines = Vec::new();
    for name in names {
        let mut line = |name: String, of: &str, width, figure: fn(&Distance) -> f64| {
            let own = distances.iter().filter(|it| it.name == of);
            let points: Vec<_> = own.map(|it| (it.rtt.into(), figure(it).log10())).collect();
            lines.push(Line { name, colour: colour(of), width, points, bars: Vec::new() });
        };
        line(name.to_owned(), name, width(name), |it| it.latency[0]);
        if name == "long-polling" {
            line(format!("{name}, second of two"), name, 1, |it| it.second);
        }
    }
    let keys: BTreeSet<u32> = distances.iter().map(|it| it.rtt).collect();
    let keys: Vec<f64> = keys.into_iter().map(f64::from).collect();
    let axis = Axis { from: 0.0, to: keys.last().copied().unwrap_or_default(), keys };
    let rtt = |value: f64| format!("{value} ms");
    let units = [(1e3, "s"), (1.0, "ms")];
    chart(area, "latency, p50", ("round trip", axis, &rtt), &units, &lines)
}

/// What a delivery costs over the number of clients.
pub fn crowds(measured: &Crowds) -> Result<String> {
    let of = |name: &str| {
        let own = measured.points.iter().filter(|it| it.name == name);
        let mut own: Vec<_> =
            own.map(|it| (f64::from(it.clients).log10(), it.delivery.log10())).collect();
        own.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        own
    };
    let names = unique(measured.points.iter().map(|it| &it.name));
    let line = |name: &&str| {
        let (name, points, bars) = ((*name).to_owned(), of(name), Vec::new());
        Line { colour: colour(&name), width: width(&name), name, points, bars }
    };
    let lines: Vec<_> = names.iter().map(line).collect();
    let keys: Vec<_> = of(names.first().ok_or(anyhow!("nothing was measured"))?);
    let keys: Vec<_> = keys.into_iter().map(|(clients, _)| clients).collect();
    let axis = Axis { from: keys[0], to: keys[keys.len() - 1], keys };
    let clients = |value: f64| count(10_f64.powf(value));
    let units = [(1e3, "ms"), (1.0, "µs")];
    finished(LINES, |area| {
        chart(area, "server CPU of a delivery", ("clients", axis, &clients), &units, &lines)
    })
}

/// Lines and points, with the lines' names beside their ends; the axis upwards is logarithmic.
fn chart(
    area: &Area,
    title: &str,
    (below, axis, label): (&str, Axis, &dyn Fn(f64) -> String),
    units: &[(f64, &str)],
    lines: &[Line],
) -> Drawn {
    let bars =
        || lines.iter().flat_map(|line| line.bars.iter().flat_map(|(_, from, to)| [*from, *to]));
    let values = || lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y)).chain(bars());
    let from = values().fold(f64::INFINITY, f64::min).floor();
    let to = values().fold(f64::NEG_INFINITY, f64::max).ceil();
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(16))
        .margin(8)
        .margin_right(NAMES)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(axis, Axis::decades(from, to))?;
    chart
        .configure_mesh()
        .label_style(text(13))
        .x_desc(below)
        .axis_desc_style(text(13))
        .x_label_formatter(&|value| label(*value))
        .y_label_formatter(&|decade| with_unit(10_f64.powf(*decade), units))
        .bold_line_style(INK.mix(0.2))
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .draw()?;
    let mut names = Vec::new();
    for line in lines {
        let path = PathElement::new(line.points.clone(), line.colour.stroke_width(line.width));
        chart.draw_series([path])?;
        let bar = |&(x, from, to): &(f64, f64, f64)| {
            PathElement::new(vec![(x, from), (x, to)], line.colour.stroke_width(2))
        };
        chart.draw_series(line.bars.iter().map(bar))?;
        let size = 3 + i32::from(line.width > 1) + i32::from(line.width > 3);
        let point = |&point: &(f64, f64)| Circle::new(point, size, line.colour.filled());
        chart.draw_series(line.points.iter().map(point))?;
        let end = chart.backend_coord(line.points.last().ok_or("a line without points")?);
        names.push((end.1 - 8, end.0 + 10, &*line.name, line.colour));
    }
    names.sort_unstable_by_key(|(y, ..)| *y);
    let mut free = 0; // names of lines that end close together stand one below the other
    for (y, x, name, colour) in names {
        let y = y.max(free);
        free = y + 17;
        area.draw(&Circle::new((x + 4, y + 8), 4, colour.filled()))?;
        area.draw(&Text::new(name.to_owned(), (x + 14, y), text(13)))?;
    }
    Ok(())
}

/// A row for each technique, with a line through its values: the first has the largest dot. Their
/// label says what each of them is.
fn panel(
    area: &Area,
    names: u32,
    title: &str,
    each: &[&str],
    units: &[(f64, &str)],
    rows: &[Row],
    values: impl Fn(&Row) -> Vec<f64>,
) -> Drawn {
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
        .build_cartesian_2d(Axis::decades(from, to), 0.0..rows.len() as f64)?;
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
        let colour = colour(&row.name);
        let values = values(row);
        let points: Vec<_> = values.iter().map(|value| (value.log10(), y)).collect();
        if names > 10 {
            let (x, pixel) = chart.backend_coord(&(from, y));
            let place = (x - pixels.start - 122, pixel - 8);
            plain.draw(&Text::new(row.name.clone(), place, text(13)))?;
        }
        let first = points.first().copied().unwrap_or_default();
        let line = if points.len() == 1 { vec![(from, y), first] } else { points.clone() };
        chart.draw_series([PathElement::new(line, colour.stroke_width(3))])?;
        let sizes = [7, 5, 4];
        let dots = points.iter().zip(sizes);
        chart.draw_series(dots.map(|(&point, size)| Circle::new(point, size, colour.filled())))?;
        let (x, pixel) = chart.backend_coord(&first);
        let values = each.iter().zip(&values);
        let label: Vec<_> = values
            .map(|(each, value)| format!("{each} {}", with_unit(*value, units)).trim().to_owned())
            .collect();
        let label = label.join(" · ");
        // A letter is less than 7 pixels wide: to the left, where there would be no place for all.
        let end = pixels.end - pixels.start - 7 * i32::try_from(label.chars().count())?;
        let place = ((x - pixels.start - 10).min(end), pixel - 26);
        plain.draw(&Text::new(label, place, text(13)))?;
    }
    Ok(())
}

/// An axis from one value to another, with a line and a label at each of its keys.
#[derive(Clone)]
struct Axis {
    from: f64,
    to: f64,
    keys: Vec<f64>,
}

impl Axis {
    /// A logarithmic one: the values are powers of ten, the keys are whole.
    fn decades(from: f64, to: f64) -> Axis {
        let mut keys = vec![from.ceil()];
        while keys[keys.len() - 1] + 1.0 <= to {
            keys.push(keys[keys.len() - 1] + 1.0);
        }
        Axis { from, to, keys }
    }
}

impl Ranged for Axis {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from);
        #[expect(clippy::cast_possible_truncation, reason = "it is a pixel")]
        let pixels = (share * f64::from(limit.1 - limit.0)).round() as i32;
        limit.0 + pixels
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.keys.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for Axis {}

fn with_unit(value: f64, units: &[(f64, &str)]) -> String {
    let (size, unit) =
        units.iter().find(|(size, _)| value >= *size).unwrap_or(&units[units.len() - 1]);
    let number = match value / size {
        value @ 100.0.. => return format!("{value:.0} {unit}"),
        value @ 0.1.. => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}
