//! Each target in its turn, by weight: nginx's smooth weighted round-robin, which spreads the turns of a
//! heavy target evenly instead of giving them in a row (nginx, ngx_http_upstream_round_robin.c).

use std::cell::Cell;

#[derive(Debug)]
pub(super) struct InTurn {
    /// What each target is owed; the sum is 0.
    owed: Box<[Cell<i64>]>,
}

impl InTurn {
    /// As it is after `begin` turns, or as many as make a difference.
    pub(super) fn new(weights: &[u16], begin: usize) -> Self {
        let in_turn = Self { owed: weights.iter().map(|_| Cell::new(0)).collect() };
        for _ in 0..begin % weights.len().max(1) {
            in_turn.next(weights, |_| true);
        }
        in_turn
    }

    pub(super) fn next(&self, weights: &[u16], may: impl Fn(usize) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(i64, usize)> = None;
        for (index, (owed, weight)) in self.owed.iter().zip(weights).enumerate() {
            if !may(index) {
                continue;
            }
            let now_owed = owed.get() + i64::from(*weight);
            owed.set(now_owed);
            total += i64::from(*weight);
            if best.is_none_or(|(most, _)| now_owed > most) {
                best = Some((now_owed, index));
            }
        }
        let (owed, index) = best?;
        self.owed[index].set(owed - total);
        Some(index)
    }
}
