//! Distribution and stability of every algorithm.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::snapshot::balance::HashOn;

fn members(weights: &[u16]) -> Vec<Member> {
    let member = |(index, weight): (usize, &u16)| Member {
        host: format!("target-{index}.example"),
        port: 8443,
        weight: *weight,
    };
    weights.iter().enumerate().map(member).collect()
}

fn hashing() -> Algorithm {
    Algorithm::ConsistentHashing { on: HashOn::Ip, fallback: HashOn::None }
}

fn balancer(algorithm: &Algorithm, weights: &[u16]) -> Balancer {
    Balancer::new(algorithm, &members(weights), 0)
}

fn key_of(number: u64) -> u64 {
    hashing::hash(&number)
}

/// How often each target was next, of so many times.
fn shares(balancer: &Balancer, times: u64, may: impl Fn(usize) -> bool) -> BTreeMap<usize, u64> {
    let mut shares = BTreeMap::new();
    for number in 0..times {
        let next = balancer.next(&may, Some(key_of(number)), Duration::ZERO).unwrap();
        *shares.entry(next).or_default() += 1;
    }
    shares
}

#[test]
fn turns_are_given_by_weight_and_spread() {
    let balancer = balancer(&Algorithm::RoundRobin, &[5, 1, 1]);
    let next = || balancer.next(|_| true, None, Duration::ZERO).unwrap();
    let turns: Vec<_> = (0..7).map(|_| next()).collect();
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(shares(&balancer, 700, |_| true), BTreeMap::from([(0, 500), (1, 100), (2, 100)]));
    assert_eq!(shares(&balancer, 100, |index| index != 0), BTreeMap::from([(1, 50), (2, 50)]));
}

#[test]
fn workers_do_not_all_begin_with_the_same_target() {
    let begins = (0..3).map(|begin| {
        let balancer = Balancer::new(&Algorithm::RoundRobin, &members(&[1, 1, 1]), begin);
        balancer.next(|_| true, None, Duration::ZERO).unwrap()
    });
    assert_eq!(begins.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_least_busy_for_its_weight_is_next_and_equals_take_turns() {
    let balancer = balancer(&Algorithm::LeastConnections, &[2, 1]);
    let next = || balancer.next(|_| true, None, Duration::ZERO).unwrap();
    let mut turns = Vec::new();
    let mut given = [0, 0];
    for _ in 0..300 {
        let target = next();
        given[target] += 1;
        turns.push((target, balancer.turn(target)));
    }
    assert_eq!(given, [200, 100]);
    turns.retain(|(target, _)| *target != 1);
    assert_eq!(shares_held(&balancer, 100), [0, 100]);
    drop(turns);
    let idle: Vec<_> = (0..2).map(|_| balancer.next(|_| true, None, Duration::ZERO)).collect();
    assert_eq!(idle, [Some(0); 2], "of two idle ones the heavier");
    let equals = self::balancer(&Algorithm::LeastConnections, &[1, 1]);
    assert_eq!(shares(&equals, 10, |_| true), BTreeMap::from([(0, 5), (1, 5)]));
}

fn shares_held(balancer: &Balancer, times: usize) -> [usize; 2] {
    let mut given = [0, 0];
    let mut held = Vec::new();
    for _ in 0..times {
        let target = balancer.next(|_| true, None, Duration::ZERO).unwrap();
        given[target] += 1;
        held.push(balancer.turn(target));
    }
    given
}

#[test]
fn values_spread_by_weight() {
    let balancer = balancer(&hashing(), &[100, 200, 700]);
    for (target, share) in shares(&balancer, 100_000, |_| true) {
        let expected = [10_000, 20_000, 70_000][target];
        assert!(share.abs_diff(expected) < 1_000, "{target}: {share}");
    }
}

#[test]
fn who_has_no_value_takes_turns() {
    let balancer = balancer(&hashing(), &[1, 1]);
    let turns: Vec<_> = (0..4).map(|_| balancer.next(|_| true, None, Duration::ZERO).unwrap()).collect();
    assert_eq!(turns, [0, 1, 0, 1]);
}

#[test]
fn the_faster_one_is_next_until_it_is_forgotten() {
    let balancer = balancer(&Algorithm::Latency, &[1, 1, 1]);
    let at = Duration::from_secs;
    for second in 1..20 {
        balancer.answered(0, Duration::from_millis(5), at(second));
        balancer.answered(1, Duration::from_millis(500), at(second));
        balancer.answered(2, Duration::from_millis(500), at(second));
    }
    let now = at(20);
    let fast = (0..3_000).filter(|_| balancer.next(|_| true, None, now) == Some(0)).count();
    // It is one of two in two cases of three, and always wins then.
    assert!((1_800..2_200).contains(&fast), "{fast}");
    assert_eq!(balancer.next(|index| index == 1, None, now), Some(1));
    balancer.answered(0, Duration::from_secs(5), at(21));
    assert!((0..100).all(|_| balancer.next(|index| index != 2, None, at(21)) == Some(1)));
}

#[test]
fn without_a_target_nobody_is_next() {
    for algorithm in [Algorithm::RoundRobin, Algorithm::LeastConnections, hashing(), Algorithm::Latency] {
        for weights in [&[][..], &[1, 2]] {
            let balancer = balancer(&algorithm, weights);
            assert_eq!(balancer.next(|_| false, Some(7), Duration::ZERO), None, "{algorithm:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_target_that_goes_takes_only_its_own_values(
        weights in prop::collection::vec(1_u16..=1_000, 2..8),
        gone in any::<prop::sample::Index>(),
        key in any::<u64>(),
    ) {
        let gone = gone.index(weights.len());
        let balancer = balancer(&hashing(), &weights);
        let next = |may: &dyn Fn(usize) -> bool| balancer.next(may, Some(key), Duration::ZERO).unwrap();
        let with = next(&|_| true);
        let without = next(&|index| index != gone);
        prop_assert_ne!(without, gone);
        if with != gone {
            prop_assert_eq!(with, without);
        }
    }

    #[test]
    fn the_order_of_the_targets_does_not_matter(
        weights in prop::collection::vec(1_u16..=1_000, 2..8),
        key in any::<u64>(),
    ) {
        let mut members = members(&weights);
        let next = |members: &[Member]| {
            let balancer = Balancer::new(&hashing(), members, 0);
            let next = balancer.next(|_| true, Some(key), Duration::ZERO).unwrap();
            members[next].host.clone()
        };
        let straight = next(&members);
        members.reverse();
        prop_assert_eq!(straight, next(&members));
    }

    #[test]
    fn turns_are_exact_after_a_whole_round(weights in prop::collection::vec(1_u16..=50, 1..6)) {
        let balancer = balancer(&Algorithm::RoundRobin, &weights);
        let total = weights.iter().map(|weight| u64::from(*weight)).sum();
        let expected = weights.iter().map(|weight| u64::from(*weight)).enumerate().collect::<BTreeMap<_, _>>();
        prop_assert_eq!(shares(&balancer, total, |_| true), expected);
    }
}
