//! Class labels.

use std::collections::HashMap;

/// Class labels of all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Class index of each row, `[rows]`: an index into `names`.
    pub classes: Vec<u32>,
    /// Class names.
    pub names: Vec<String>,
}

impl Labels {
    /// One class per distinct name in `labels`: numbers first, in numeric order, then other names, sorted bytewise.
    #[must_use]
    pub fn of(labels: &[String]) -> Self {
        let names = in_order(labels.to_vec());
        let places: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
        let classes = labels.iter().map(|label| places[label.as_str()]).collect();
        Self { classes, names }
    }

    /// The labels of all `parts`, in order, whose classes are told by their names.
    #[must_use]
    pub fn joined(parts: &[Self]) -> Self {
        let names = in_order(parts.iter().flat_map(|part| part.names.clone()).collect());
        let places: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
        let classes_of = |part: &Self| -> Vec<u32> {
            let own: Vec<u32> = part
                .names
                .iter()
                .map(|name| places[name.as_str()])
                .collect();
            part.classes
                .iter()
                .map(|&class| own[class as usize])
                .collect()
        };
        let classes = parts.iter().flat_map(classes_of).collect();
        Self { classes, names }
    }

    /// One class per distinct integer in `labels`, in increasing order.
    #[must_use]
    pub fn of_integers(labels: &[i64]) -> Self {
        let mut values = labels.to_vec();
        values.sort_unstable();
        values.dedup();
        let class = |label: &i64| values.partition_point(|known| known < label) as u32;
        Self {
            classes: labels.iter().map(class).collect(),
            names: values.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Each different name once: numbers first, in numeric order, then other names, sorted bytewise.
fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (x, y) => x.is_err().cmp(&y.is_err()).then_with(|| a.cmp(b)),
    });
    names.dedup();
    names
}
