//! Reading from disk ahead of training: the samples that this process computes, where they are streamed.

use vae_data::Prefetch;

use super::task::Task;
use super::team::Team;

/// The samples of the rest of an epoch, read a little before they are trained on.
#[derive(Debug)]
pub(super) struct ReadAhead {
    prefetch: Prefetch,
    done: usize,
}

impl ReadAhead {
    /// For `batches`, of which a process of a team computes its share; `None` where nothing is streamed.
    pub(super) fn start(
        task: &Task<'_>,
        team: Option<&Team<'_>>,
        batches: &[&[u32]],
    ) -> Option<Self> {
        task.recipe.stream.then(|| {
            let own = batches.iter().flat_map(|batch| match team {
                Some(team) => &batch[team.share(batch.len())],
                None => batch,
            });
            Self {
                prefetch: Prefetch::start(&task.train, own.copied().collect()),
                done: 0,
            }
        })
    }

    /// So many more of these samples were used.
    pub(super) fn advance(&mut self, samples: usize) {
        self.done += samples;
        self.prefetch.advance(self.done);
    }
}
