//! Event files, read back record by record.

use std::fs;

use vae_data::Dataset;
use vae_recipe::RecipePatch;

use super::*;

/// The events of the one file in `folder`; its framing is checked with sums that are computed anew.
fn read(folder: &Path) -> Vec<Event> {
    let mut files = fs::read_dir(folder).expect("a folder").flatten();
    let bytes = fs::read(files.next().expect("a file").path()).expect("readable");
    let (mut rest, mut events) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes")) as usize;
        let content = &rest[12..12 + length];
        assert_eq!(rest[..16 + length], record::framed(content));
        events.push(Event::decode(content).expect("an event"));
        rest = &rest[16 + length..];
    }
    events
}

#[test]
fn what_is_written_is_scalars_histograms_pictures_and_settings_at_their_steps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let digits = Dataset::digits().expect("built in");
    let recipe = Recipe::resolve(RecipePatch::default(), &digits).expect("valid");
    let mut file = EventFile::create(folder.path(), &recipe, 90).expect("writable");
    let report = EpochReport {
        epoch: 1,
        validation: Losses::of_elbo(150.0, 5.0, 1.0),
        kl_per_dimension: vec![2.0, 3.0],
        active_units: 2,
        ..EpochReport::default()
    };
    file.epoch(180, &report, &[1.0, -1.0, 3.0, f32::NAN])
        .expect("writable");
    file.picture(180, "samples", &[0; 24]).expect("writable");
    file.end(180).expect("writable");
    let events = read(folder.path());
    assert!(
        matches!(&events[0].what, Some(event::What::FileVersion(version)) if version == "brain.Event:2")
    );
    assert!(
        matches!(&events[1].what, Some(event::What::SessionLog(log)) if log.status == SessionLog::START)
    );
    assert_eq!(events[1].step, 91);
    let values = events.iter().filter_map(|event| match &event.what {
        Some(event::What::Summary(summary)) => Some((event.step, &summary.values)),
        _ => None,
    });
    let values: Vec<(i64, &SummaryValue)> = values
        .flat_map(|(step, values)| values.iter().map(move |value| (step, value)))
        .collect();
    let of = |tag: &str| {
        let found = values.iter().find(|(_, value)| value.tag == tag);
        found.unwrap_or_else(|| panic!("no {tag}"))
    };
    assert_eq!(of("validation/loss").0, 180);
    assert_eq!(
        of("validation/loss").1.content,
        Some(value::Content::Scalar(155.0))
    );
    let Some(value::Content::Histogram(histogram)) = &of("latents/mu_1").1.content else {
        panic!("no histogram");
    };
    assert_eq!(
        (histogram.min, histogram.max, histogram.count),
        (1.0, 3.0, 2.0)
    );
    assert_eq!(histogram.buckets.iter().sum::<f64>(), 2.0);
    assert_eq!(histogram.limits.len(), histogram.buckets.len());
    assert!(matches!(
        of("samples").1.content,
        Some(value::Content::Image(_))
    ));
    let plugin = of("_hparams_/session_start_info").1.metadata.clone();
    let plugin = plugin
        .and_then(|metadata| metadata.plugin)
        .expect("a plugin");
    let data = HparamsData::decode(&plugin.content[..]).expect("settings");
    let Some(data::Content::Start(start)) = data.content else {
        panic!("no settings");
    };
    let latent = start.hparams["latent"].kind.clone();
    assert_eq!(latent, Some(proto::setting::Kind::Number(2.0)));
    of("_hparams_/session_end_info");
}
