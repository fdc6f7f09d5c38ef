//! The target with the fewest requests in flight for its weight (kong/runloop/balancer/least_connections.lua).

use std::cell::Cell;
use std::rc::Rc;

#[derive(Debug)]
pub(super) struct LeastBusy {
    in_flight: Rc<[Cell<u32>]>,
    /// Where the search begins, so that equals take turns.
    begin: Cell<usize>,
}

/// A request at a target; over when it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Turn {
    in_flight: Rc<[Cell<u32>]>,
    target: usize,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let in_flight = &self.in_flight[self.target];
        in_flight.set(in_flight.get() - 1);
    }
}

impl LeastBusy {
    pub(super) fn new(targets: usize, begin: usize) -> Self {
        Self { in_flight: (0..targets).map(|_| Cell::new(0)).collect(), begin: Cell::new(begin) }
    }

    pub(super) fn next(&self, weights: &[u16], may: impl Fn(usize) -> bool) -> Option<usize> {
        let count = weights.len();
        let begin = self.begin.get().wrapping_add(1);
        self.begin.set(begin);
        let mut best: Option<(u64, usize)> = None;
        for index in (0..count).map(|step| (begin % count + step) % count).filter(|index| may(*index)) {
            let with_this = u64::from(self.in_flight[index].get()) + 1;
            let lighter = best.is_none_or(|(load, than)| {
                // Fractions compared without dividing.
                with_this * u64::from(weights[than]) < load * u64::from(weights[index])
            });
            if lighter {
                best = Some((with_this, index));
            }
        }
        best.map(|(_, index)| index)
    }

    pub(super) fn turn(&self, target: usize) -> Turn {
        let in_flight = &self.in_flight[target];
        in_flight.set(in_flight.get() + 1);
        Turn { in_flight: Rc::clone(&self.in_flight), target }
    }
}
