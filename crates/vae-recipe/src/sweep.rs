//! A sweep: a grid of settings and seeds, every point and seed of which is a run. Nothing here trains.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use toml::{Table, Value};

use crate::RecipePatch;
use file::setting;

/// A sweep, as its file says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    /// Seeds that every point of the grid is trained with.
    pub seeds: Vec<u64>,
    /// Settings of all runs.
    pub base: RecipePatch,
    /// Values of the settings that differ between the runs, in the order of their names.
    pub grid: BTreeMap<String, Vec<Value>>,
}

/// A point of the grid: the settings that distinguish it.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPoint {
    /// Value of each setting of the grid, in the grid's order, as shown in tables.
    pub values: Vec<String>,
    /// All that the file says of it, without a seed.
    pub settings: RecipePatch,
}

/// A run of a sweep: a point with a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRun {
    /// Name of its folder, such as `beta=4,latent=8,seed=0`.
    pub name: String,
    /// Index of its point.
    pub point: usize,
    /// Its settings, with the seed.
    pub settings: RecipePatch,
}

impl Sweep {
    /// The points of the grid; values of the last setting change first.
    #[must_use]
    pub fn points(&self) -> Vec<SweepPoint> {
        let mut points = vec![(Vec::new(), RecipePatch::default())];
        for (name, values) in &self.grid {
            let longer = points.iter().flat_map(|(shown, settings)| {
                values.iter().filter_map(move |value| {
                    // Values were read by this before, so none is left out.
                    let more = setting(name, value.clone()).ok()?;
                    let shown: &Vec<String> = shown;
                    let settings: &RecipePatch = settings;
                    let shown = [&shown[..], &[self::shown(value)]].concat();
                    Some((shown, more.over(settings.clone())))
                })
            });
            points = longer.collect();
        }
        let points = points.into_iter();
        let points = points.map(|(values, settings)| SweepPoint {
            values,
            settings: settings.overruling(self.base.clone()),
        });
        points.collect()
    }

    /// The runs: every point with every seed.
    #[must_use]
    pub fn runs(&self) -> Vec<SweepRun> {
        let points = self.points();
        let of_point = |(index, point): (usize, &SweepPoint)| {
            let settings = self.grid.keys().zip(&point.values);
            let name: String = settings
                .map(|(name, value)| format!("{name}={},", as_file_name(value)))
                .collect();
            let settings = point.settings.clone();
            self.seeds.iter().map(move |&seed| SweepRun {
                name: format!("{name}seed={seed}"),
                point: index,
                settings: RecipePatch {
                    seed: Some(seed),
                    ..settings.clone()
                },
            })
        };
        points.iter().enumerate().flat_map(of_point).collect()
    }

    /// What of `before` is no longer so, in words; points and seeds that were added are no change.
    #[must_use]
    pub fn changes_from(&self, before: &Self) -> Vec<String> {
        let table = |patch: &RecipePatch| Table::try_from(patch).unwrap_or_default();
        let (old, new) = (table(&before.base), table(&self.base));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let value = |table: &Table, name: &str| table.get(name).map_or("none".into(), shown);
        let mut changes: Vec<String> = names
            .into_iter()
            .filter(|name| old.get(*name) != new.get(*name))
            .map(|name| {
                let [old, new] = [&old, &new].map(|table| value(table, name));
                format!("base.{name} from {old} to {new}")
            })
            .collect();
        for (name, values) in &before.grid {
            let Some(now) = self.grid.get(name) else {
                changes.push(format!("grid.{name} is gone"));
                continue;
            };
            let gone = values.iter().filter(|value| !now.contains(value));
            changes.extend(gone.map(|value| format!("grid.{name} is without {}", shown(value))));
        }
        let added = self
            .grid
            .keys()
            .filter(|name| !before.grid.contains_key(*name));
        changes.extend(added.map(|name| format!("grid.{name} is new")));
        let gone = before
            .seeds
            .iter()
            .filter(|seed| !self.seeds.contains(seed));
        changes.extend(gone.map(|seed| format!("seeds are without {seed}")));
        changes
    }
}

/// A value for people and names: `8`, `0.5`, `linear:10`, `512-256`.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => number.to_string(),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join("-"),
        other => other.to_string(),
    }
}

/// With a dash for every letter that some file system does not allow, or some shell takes for its own.
fn as_file_name(text: &str) -> String {
    let allowed = |letter: char| letter.is_alphanumeric() || ".-_+".contains(letter);
    let letters = text.chars();
    letters
        .map(|letter| if allowed(letter) { letter } else { '-' })
        .collect()
}
