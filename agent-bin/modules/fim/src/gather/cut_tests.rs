//! Windows that are cut by a kill, and worked off half: what came and went is told where it was.

mod base;
mod disk;

use proptest::prelude::*;

use super::*;
use base::Base;
use disk::{Disk, Step};

fn is_watched(path: &PathBytes) -> bool {
    path.below(&PathBytes::new("/w")).is_some()
}

fn handle(node: usize) -> Handle {
    Handle { filesystem: 1, sort: 1, bytes: vec![u8::try_from(node).unwrap()] }
}

fn make() -> impl Strategy<Value = Step> {
    (any::<bool>(), 0..16_usize, 0..16_usize).prop_map(|(folder, parent, name)| Step::Make {
        folder,
        parent,
        name,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..16_usize;
    prop_oneof![
        3 => make(),
        3 => number.clone().prop_map(|parent| Step::ShortLived { parent }),
        3 => (number.clone(), number.clone(), number.clone())
            .prop_map(|(node, parent, name)| Step::Rename { node, parent, name }),
        1 => (number.clone(), number.clone()).prop_map(|(one, other)| Step::Exchange { one, other }),
        1 => number.prop_map(|node| Step::Delete { node }),
    ]
}

/// Where everything is said to have been that came and went at once.
fn told(ended: &[Ended]) -> BTreeMap<String, PathBytes> {
    let lives = ended.iter().flat_map(|ended| ended.values().flatten());
    let short =
        lives.filter(|life| life.path.name().is_some_and(|name| name.starts_with(b"short")));
    short.map(|life| (life.mark.clone(), life.path.clone())).collect()
}

/// The disk when the baseline is made, and after each step.
fn happened(before: &[Step], steps: &[Step]) -> Vec<Disk> {
    let mut disk = Disk::new();
    for step in before {
        disk.step(step);
    }
    disk.notices.clear();
    disk.short.clear();
    let mut states = vec![disk.clone()];
    for step in steps {
        disk.step(step);
        states.push(disk.clone());
    }
    states
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn what_came_and_went_is_told_where_it_was_wherever_a_window_is_cut(
        before in prop::collection::vec(make(), 0..12),
        steps in prop::collection::vec(step(), 1..24),
        cut in any::<prop::sample::Index>(),
        looked_at in 0..12_usize,
    ) {
        let states = happened(&before, &steps);
        let (start, disk) = (&states[0], &states[steps.len()]);
        // The two halves of an exchange are told as one where they are heard together.
        let then = &states[cut.index(states.len())];
        let (first, second) = disk.notices.split_at(then.notices.len());
        let mut base = Base { disk: then, ..Base::of(start) };
        let mut gathered = Gathered::default();
        let Ok(()) = gathered.all(first, true, &mut base);
        let Settled { changes, mut hints, ended, folders } = gathered.settle();
        base.apply(&changes);
        for _ in 0..looked_at {
            let Some((path, hint)) = hints.pop_first() else { break };
            base.look(&path, hint.inside != Inside::Nothing);
        }

        base.disk = disk;
        let mut next = Gathered::default();
        let Ok(()) = next.told_before(hints, folders, true, &mut base);
        let Ok(()) = next.all(second, true, &mut base);
        let told = told(&[ended, next.settle().ended]);
        prop_assert!(told == disk.short, "told: {:?}, true: {:?}, cut at {}\n{:?}\n{}", told, disk.short, first.len(), start.paths(), disk.transcript());
    }

    #[test]
    fn what_came_and_went_is_told_where_it_was_although_looks_are_ahead(
        before in prop::collection::vec(make(), 0..12),
        steps in prop::collection::vec(step(), 1..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let states = happened(&before, &steps);
        let (start, disk) = (&states[0], &states[steps.len()]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(states.len())).collect();
        cuts.sort_unstable();
        cuts.push(states.len() - 1);

        let mut base = Base::of(start);
        let (mut folders, mut heard, mut all) = (Whereabouts::new(), 0, Vec::new());
        for (window, cut) in cuts.iter().enumerate() {
            let now = &states[*cut];
            let mut gathered = Gathered::default();
            base.disk = now;
            let Ok(()) = gathered.told_before(BTreeMap::new(), folders, false, &mut base);
            let Ok(()) = gathered.all(&now.notices[heard..], true, &mut base);
            heard = now.notices.len();
            let settled = gathered.settle();
            base.apply(&settled.changes);
            folders = settled.folders;
            all.push(settled.ended);
            // Looks see the time until the next window is read.
            base.disk = &states[*cuts.get(window + 1).unwrap_or(cut)];
            for (path, hint) in settled.hints {
                base.look(&path, hint.inside != Inside::Nothing);
            }
        }
        let mut told = told(&all);
        // Where a folder is that has left long ago may be unsure while others move.
        told.retain(|mark, _| disk.short.contains_key(mark));
        prop_assert!(
            told == disk.short,
            "told: {:?}, true: {:?}, cuts {:?}\n{:?}\n{}",
            told,
            disk.short,
            cuts.iter().map(|cut| states[*cut].notices.len()).collect::<Vec<_>>(),
            start.paths(),
            disk.transcript()
        );
    }
}
