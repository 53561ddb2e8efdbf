//! What a client costs over the rate of updates.

use super::text::{count, markdown, milliseconds, percent, rate};
use crate::figures::{Measured, Point, Row, What};

/// What a client costs at the rates that were measured.
pub fn table(measured: &Measured, what: What) -> String {
    let names = measured.names();
    let Some(first) = names.first() else { return String::new() };
    let head = match what {
        What::Bytes => "bytes per client and minute, at so many updates a minute",
        What::Cpu => "ms of server CPU per 1,000 clients and minute, at so many updates a minute",
    };
    let mut heads = vec![head.to_owned()];
    heads.extend(measured.line(first).iter().map(|point| rate(point.rate)));
    let cell = |point: &&Point| count(what.of(point).median); // µs for one are ms for 1,000
    let lines = names.iter().map(|name| (*name, measured.line(name).iter().map(cell).collect()));
    markdown(&heads, &lines.collect::<Vec<_>>())
}

/// What a picture of costs over the rate tells at its two ends.
pub fn ends(measured: &Measured, what: What) -> String {
    let lines: Vec<_> = measured.names().into_iter().map(|name| measured.line(name)).collect();
    let amount = |point: &Point| match what {
        What::Bytes => format!("{} bytes", count(point.bytes.median)),
        What::Cpu => milliseconds(point.cpu.median / 1e3),
    };
    let end = |of: fn(&[&Point]) -> usize| {
        let mut points: Vec<&Point> = lines.iter().map(|line| line[of(line)]).collect();
        points.sort_by(|one, other| what.of(one).median.total_cmp(&what.of(other).median));
        let say = |point: &Point| format!("{} ({})", amount(point), point.name);
        let rate = rate(points[0].rate);
        (rate, say(points[0]), say(points[points.len() - 1]))
    };
    let whose = match what {
        What::Bytes => "what a client moves in a minute, both ways",
        What::Cpu => "what a client takes of the server's time in a minute",
    };
    let ((few, from, to), (many, least, most)) = (end(|_| 0), end(|line| line.len() - 1));
    format!(
        "The picture shows {whose}. On the left little happens ({few} updates a minute). There you see what \
         waiting costs: from {from} to {to}. On the right much happens ({many} a minute). There you see what \
         the updates cost: from {least} to {most}.\n\n"
    )
}

/// A sentence for each crossing of two lines.
pub fn crossings(measured: &Measured, what: What) -> String {
    let lines: Vec<_> = measured.names().into_iter().map(|name| measured.line(name)).collect();
    if lines.iter().any(|line| line.len() < 3 || line.iter().any(|point| point.rounds < 2)) {
        return String::new(); // it says little, or nobody knows what a second round would show
    }
    let (does, more) = match what {
        What::Bytes => ("moves fewer bytes", "it moves more"),
        What::Cpu => ("takes less of a server's time", "it takes more"),
    };
    let mut sentences = Vec::new();
    for one in &lines {
        for other in &lines {
            let Some([from, to]) = what.crossing(one, other) else { continue };
            let (below, above) = (rate(from), rate(to));
            let above = if below == above { "above".into() } else { format!("above {above}") };
            let sentence = format!(
                "- Below {below} updates a minute, {} {does} than {}; {above} {more}.\n",
                other[0].name, one[0].name,
            );
            sentences.push((from, sentence));
        }
    }
    sentences.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let other = if sentences.is_empty() { "" } else { "other " };
    let sentences: String = sentences.into_iter().map(|(_, sentence)| sentence).collect();
    format!("{sentences}- Of no {other}two lines is it certain that they cross.\n")
}

/// How to read the pictures, and how far rounds are apart.
pub fn explained(measured: &Measured) -> String {
    let rounds = || measured.rates.iter().map(|point| point.rounds);
    let (fewest, most) = (rounds().min().unwrap_or_default(), rounds().max().unwrap_or_default());
    let rounds = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
    let apart = |point: &Point| {
        let cpu = !point.cpu.agrees;
        let seen = if cpu { point.cpu } else { point.bytes };
        let [least, most] = [seen.least, seen.most].map(|it| if cpu { it / 1e3 } else { it });
        let [least, most] = [least, most].map(|it| if cpu { milliseconds(it) } else { count(it) });
        format!("{} at {} ({least} to {most})", point.name, rate(point.rate))
    };
    let differ = measured.rates.iter().filter(|point| !(point.bytes.agrees && point.cpu.agrees));
    let differ: Vec<_> = differ.map(apart).collect();
    let agree = match &differ[..] {
        [] => "At each point, three rounds agree within 10 %.".to_owned(),
        all => {
            format!("At each point three rounds agree within 10 %, except for {}.", all.join(", "))
        }
    };
    let point = if most < 2 {
        "A point is what one round has seen".to_owned()
    } else {
        format!(
            "{agree} Between the two rates of a crossing, some round of the one line is above some round of \
             the other. For times, {} more or less count as equal, as no two runs take the same. A bar reaches \
             from the lowest round to the highest. A point is the median of {rounds} rounds",
            percent(0.1)
        )
    };
    format!(
        "{point}, with updates at random moments. The lines join the points. Both axes are logarithmic.{}",
        alone(measured)
    )
}

/// How much longer an update takes than where nothing else runs.
fn alone(measured: &Measured) -> String {
    let rate = 60.0 / measured.conditions.every;
    let longer = |row: &Row| {
        let all = measured.line(&row.name);
        let point = all.into_iter().find(|point| (point.rate / rate - 1.0).abs() < 0.01)?;
        Some(point.cpu.median / point.rate / row.cpu) // µs for one are ms for 1,000
    };
    let longer = measured.rows.iter().filter_map(longer).reduce(f64::max).unwrap_or(1.0);
    match longer {
        1.05.. => format!(
            " All techniques and rates ran at the same time. So an update takes up to {longer:.1} times as \
             long as in the table below, where each technique has the machine to itself."
        ),
        _ => " All techniques and rates ran at the same time.".into(),
    }
}
