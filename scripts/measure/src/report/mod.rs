//! What was measured in tables and words, all of them made from the figures: no sentence can
//! contradict them.

mod beside;
mod burst;
mod conditions;
mod crowd;
mod deployed;
mod distance;
mod morning;
mod peers;
mod rates;
mod table;
pub mod text;

use anyhow::{Context as _, Result};

use crate::figures::{Measured, What};
pub use conditions::{conditions, disturbed, said, usual};
pub use crowd::crowds;
pub use morning::mornings;
pub use peers::peers;
pub use table::front;

/// What a cell of a table says of a figure.
type Cell<'a, Figure> = &'a dyn Fn(&Figure) -> String;

/// All that there is, for a terminal.
pub fn all(measured: &Measured) -> String {
    let parts = [
        table::table(measured)
            + "\n"
            + &said(&measured.conditions, &usual(&measured.conditions))
            + "\n",
        rates::table(measured, What::Bytes),
        rates::crossings(measured, What::Bytes),
        rates::table(measured, What::Cpu),
        rates::crossings(measured, What::Cpu),
        distance::distances(measured),
        deployed::deployed(measured),
        burst::bursts(measured),
        beside::beside(measured),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// A part of a page that is made from figures.
pub struct Part {
    /// The page.
    pub page: &'static str,
    /// What the lines before and after it say.
    name: &'static str,
}

/// What each technique costs.
pub const COSTS: Part = Part { page: "scripts/COSTS.md", name: "measured" };
/// The few figures of it that decide.
pub const FRONT: Part = Part { page: "README.md", name: "measured" };
/// What a client costs when there are many of them.
pub const CLIENTS: Part = Part { page: "scripts/COSTS.md", name: "clients" };
/// Ours beside what people would take instead.
pub const PEERS: Part = Part { page: "scripts/COSTS.md", name: "peers" };
/// What happens when a server is killed.
pub const MORNING: Part = Part { page: "scripts/COSTS.md", name: "morning" };
/// What an engine costs.
pub const ENGINE: Part = Part { page: "scripts/PAST-ONE-MACHINE.md", name: "engine" };

impl Part {
    /// The page with this part written again.
    pub fn put_into(&self, text: &str, page: &str) -> Result<String> {
        let [begin, end] = ["begin", "end"].map(|it| format!("<!-- {}: {it} -->\n", self.name));
        let missing = |line: &str| format!("{} has no such line: {line}", self.page);
        let (before, rest) = page.split_once(&begin).with_context(|| missing(&begin))?;
        let (_, after) = rest.split_once(&end).with_context(|| missing(&end))?;
        Ok(format!("{before}{begin}\n{text}\n{end}{after}"))
    }
}

/// All that was measured; nothing where something was not.
pub fn costs(measured: &Measured) -> Option<String> {
    let meaning = table::meaning(measured)?;
    let is_missing = measured.rates.is_empty()
        || measured.distances.is_empty()
        || measured.bursts.is_empty()
        || measured.beside.is_empty();
    (!is_missing).then(|| {
        format!(
            "## Over the rate of updates\n\n\
             ![Bytes of a client in a minute, over the rate of updates](pictures/bytes.svg)\n\n\
             {}{}\n\
             ![Server time of a client in a minute, over the rate of updates](pictures/cpu.svg)\n\n\
             {}{}\n{} {}\n\n\
             ## An update, and a quiet minute\n\n\
             {}\n{}\n\n{}\n\n\
             ![Latency and bytes of the four techniques](pictures/measured.svg)\n\n\
             ## At a distance\n\n\
             ![Latency over the round trip](pictures/distance.svg)\n\n\
             {}\n\
             `scripts/all.sh` starts the four servers behind such lines: the comparison has a slider, \
             *Distance to the server*.\n\n\
             ## As it is deployed\n\n{}\n\
             ## What one core takes\n\n{}\n\
             ## What the naive servers lose\n\n{} {}\n\
             ## In words\n\n{meaning}",
            rates::ends(measured, What::Bytes),
            rates::crossings(measured, What::Bytes),
            rates::ends(measured, What::Cpu),
            rates::crossings(measured, What::Cpu),
            rates::explained(measured),
            said(&measured.conditions, "as under the table below."),
            table::table(measured),
            table::explained(measured),
            said(&measured.conditions, &usual(&measured.conditions)),
            distance::distances(measured),
            deployed::deployed(measured),
            burst::bursts(measured),
            beside::NAIVE,
            beside::beside(measured),
        )
    })
}
