//! End-to-end tests, in one binary so that burn is linked once. Each module is one subject.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail and skip aloud"
)]

mod bottleneck;
mod browser;
mod cli;
mod common;
mod configurations;
mod data;
mod devices;
mod documents;
mod eval;
mod executors;
mod explore;
mod export;
mod faults;
mod folders;
mod formats;
mod gradients;
mod help;
mod importance;
mod kills;
mod labels;
mod mnist;
mod networks;
mod other_data;
mod parts;
mod passes;
mod pieces;
mod random;
mod refusals;
mod report;
mod resume;
mod runs;
mod sample_kl;
mod science;
mod shards;
mod sweep;
mod tables;
mod tensorboard;
mod terminal;
mod training;
mod values;
mod verbs;
