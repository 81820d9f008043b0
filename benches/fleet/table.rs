//! The table: each row has our figure, Python's, and the bare loop's.

use std::fmt;

/// What a row measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// In what it is measured. Rates and percents are the better the greater they are, and everything else the smaller it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    PerSecond,
    Milliseconds,
    /// Of the processors' time, for each task.
    Microseconds,
    Mebibytes,
    Percent,
}

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Ours,
    Python,
    Bare,
}

impl Row {
    pub(crate) const fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit }
    }
}

/// The figures so far.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<(Row, [Vec<f64>; 3])>);

impl Table {
    /// Adds what was measured once.
    pub(crate) fn note(&mut self, row: Row, side: Side, figure: f64) {
        let at = self.0.iter().position(|(there, _)| *there == row).unwrap_or_else(|| {
            self.0.push((row, Default::default()));
            self.0.len() - 1
        });
        self.0[at].1[side as usize].push(figure);
    }
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// The figure below which that share of them are.
pub(crate) fn percentile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() as f64 * share) as usize;
    figures.get(at.min(figures.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["", "", "ours", "Python", "ratio", "bare", "share"].map(str::to_owned);
        let mut lines = vec![heads];
        for (row, figures) in &self.0 {
            let [ours, python, bare] = figures.each_ref().map(|figures| median(figures));
            let shown = |figure: Option<f64>| figure.map_or(String::new(), |it| row.unit.show(it));
            let better = |than: Option<f64>| {
                let (ours, other) = (ours?, than?);
                let is_more = matches!(row.unit, Unit::PerSecond | Unit::Percent);
                Some(if is_more { ours / other } else { other / ours })
            };
            lines.push([
                row.name.to_owned(),
                row.unit.to_string(),
                shown(ours),
                shown(python),
                better(python).map_or(String::new(), |it| format!("{it:.1}")),
                shown(bare),
                better(bare).map_or(String::new(), |it| format!("{:.0} %", it * 100.0)),
            ]);
        }
        let widths: [usize; 7] = std::array::from_fn(|column| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        });
        for (number, line) in lines.iter().enumerate() {
            let [name, unit, figures @ ..] = line;
            write!(f, "| {name:<0$} | {unit:<1$} |", widths[0], widths[1])?;
            for (figure, width) in figures.iter().zip(&widths[2..]) {
                write!(f, " {figure:>width$} |")?;
            }
            writeln!(f)?;
            if number == 0 {
                let line = |width: usize| "-".repeat(width);
                write!(f, "|-{}-|-{}-|", line(widths[0]), line(widths[1]))?;
                for width in &widths[2..] {
                    write!(f, "-{}:|", line(*width))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            Self::PerSecond => format!("{figure:.0}"),
            Self::Milliseconds => format!("{figure:.2}"),
            Self::Microseconds | Self::Mebibytes | Self::Percent => format!("{figure:.1}"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerSecond => "per second",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs CPU each",
            Self::Mebibytes => "MiB",
            Self::Percent => "%",
        })
    }
}
