//! Which rows are not their child's newest.

use roaring::RoaringTreemap;

/// The ids of the rows of which the same child has a newer one. Found once for all pages
/// of a pass, since it takes a look at the whole table, and usually empty. In a table that
/// keeps every child's history it takes some bits per row.
///
/// A row that is staged after that look has a greater id than every other of its child.
/// It is read by a later page, after the one that it replaces. Where the first page is read
/// before the look, a row whose transaction ended between the two may have an id that this page
/// is past already: its child then waits for the next run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Superseded {
    ids: RoaringTreemap,
}

/// A stretch of ids in which the ones to skip are few enough for one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The ids to skip, in order.
    pub skip: Vec<i64>,
    /// The last id of the stretch.
    pub last: i64,
}

impl Stretch {
    /// Whether nothing comes after it.
    pub(crate) fn is_last(&self) -> bool {
        self.last == i64::MAX
    }
}

/// The order of the ids kept, negative ones before the others.
fn ordered(id: i64) -> u64 {
    id.cast_unsigned() ^ (1 << 63)
}

fn id_of(ordered: u64) -> i64 {
    (ordered ^ (1 << 63)).cast_signed()
}

impl Superseded {
    pub(crate) fn insert(&mut self, id: i64) {
        self.ids.insert(ordered(id));
    }

    /// How many rows they are.
    pub fn len(&self) -> u64 {
        self.ids.len()
    }

    /// Whether every row is its child's newest.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether that row has a newer one.
    pub fn contains(&self, id: i64) -> bool {
        self.ids.contains(ordered(id))
    }

    /// The ids kept, from one on.
    ///
    /// Not by `advance_to` of the whole: where no id shares the upper half of the one asked
    /// for, roaring 0.11 leaves out ids of the next half that are below the lower half of it.
    fn from(&self, least: u64) -> impl Iterator<Item = u64> + '_ {
        let (upper, lower) = (least >> 32, least as u32);
        self.ids
            .bitmaps()
            .skip_while(move |(half, _)| u64::from(*half) < upper)
            .flat_map(move |(half, ids)| {
                let mut following = ids.iter();
                if u64::from(half) == upper {
                    following.advance_to(lower);
                }
                following.map(move |id| (u64::from(half) << 32) | u64::from(id))
            })
    }

    /// The stretch that follows an id, with at most so many ids to skip.
    pub(crate) fn stretch(&self, after: i64, most: usize) -> Stretch {
        let none = Stretch {
            skip: Vec::new(),
            last: i64::MAX,
        };
        let Some(first) = after.checked_add(1) else {
            return none;
        };
        let mut following = self.from(ordered(first));
        let skip: Vec<i64> = following.by_ref().take(most).map(id_of).collect();
        let last = following.next().map_or(i64::MAX, |next| id_of(next) - 1);
        Stretch { skip, last }
    }
}

impl FromIterator<i64> for Superseded {
    fn from_iter<I: IntoIterator<Item = i64>>(ids: I) -> Self {
        Superseded {
            ids: ids.into_iter().map(ordered).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stretches_cover_every_id_once(
            ids in prop::collection::btree_set(
                prop_oneof![-20i64..40, Just(i64::MIN), Just(i64::MAX), any::<i64>()], 0..30),
            most in 1usize..5,
        ) {
            let superseded: Superseded = ids.iter().copied().collect();
            prop_assert_eq!(superseded.len(), ids.len() as u64);
            let (mut after, mut skipped) = (i64::MIN, Vec::new());
            loop {
                let stretch = superseded.stretch(after, most);
                prop_assert!(stretch.skip.len() <= most);
                prop_assert!(stretch.last > after || stretch.is_last());
                prop_assert!(stretch.skip.iter().all(|id| *id > after && *id <= stretch.last));
                skipped.extend(stretch.skip.iter().copied());
                if stretch.is_last() {
                    break;
                }
                after = stretch.last;
            }
            // Pages begin after the least id there can be.
            let expected: Vec<i64> = ids.into_iter().filter(|id| *id != i64::MIN).collect();
            prop_assert_eq!(skipped, expected);
        }
    }

    #[test]
    fn an_id_is_kept_whatever_its_sign() {
        let superseded: Superseded = [-3, 0, i64::MAX].into_iter().collect();
        assert!(superseded.contains(-3) && superseded.contains(i64::MAX));
        assert!(!superseded.contains(3) && !superseded.is_empty());
        let stretch = superseded.stretch(i64::MIN, 2);
        assert_eq!((stretch.skip, stretch.last), (vec![-3, 0], i64::MAX - 1));
    }

    #[test]
    fn the_first_id_of_a_later_half_is_not_left_out() {
        let superseded: Superseded = [0, 5 << 32].into_iter().collect();
        assert_eq!(superseded.stretch(i64::MIN, 5).skip, [0, 5 << 32]);
        assert_eq!(superseded.stretch((2 << 32) + 7, 5).skip, [5 << 32]);
    }
}
