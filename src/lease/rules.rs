//! When a lease may be taken, when it must be renewed, and when it is lost.
//!
//! Times are those of one machine's monotonic clock, since a moment that only this machine knows. The one clock of the
//! day that is read here decides about patience, never about the lease.

use std::time::Duration;

use super::item::{Expect, Lease, Mark};

/// The longest pause between two looks at a lease that another run holds.
const LOOK: Duration = Duration::from_secs(1);

/// What a run that wants the lease does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Takes it, on this condition.
    Take(Expect),
    /// Looks again after a pause.
    Wait(Duration),
    /// Tells the user that somebody else has it.
    GiveUp,
}

/// A run that wants the lease.
#[derive(Debug, Clone)]
pub struct Waiter {
    patience: Duration,
    seen: Option<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    mark: Mark,
    /// When it was first seen.
    at: Duration,
    /// Whether it was past its end then, by this machine's clock of the day.
    past: bool,
}

impl Waiter {
    /// Makes a run that waits for a living holder no longer than this.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { patience, seen: None }
    }

    /// Decides after a look: `now` is read after the answer came, counted from the start of the waiting; `clock` is the
    /// time of the day in milliseconds since 1970.
    pub fn next(&mut self, found: Option<&Lease>, now: Duration, clock: i64) -> Next {
        let Some((lease, mark)) = found.and_then(|lease| Some((lease, lease.mark.as_ref()?))) else {
            self.seen = None;
            return Next::Take(Expect::Free);
        };
        let seen = self.see(lease, mark, now, clock);
        let over = seen.at.saturating_add(lease.length);
        if now >= over {
            return Next::Take(Expect::Seen(mark.clone()));
        }
        let end = if seen.past { self.patience.max(over) } else { self.patience };
        if now >= end { Next::GiveUp } else { Next::Wait(end.min(over).saturating_sub(now).min(LOOK)) }
    }

    fn see(&mut self, lease: &Lease, mark: &Mark, now: Duration, clock: i64) -> Seen {
        let seen = match self.seen.take() {
            Some(seen) if seen.mark == *mark => seen,
            // Who has just taken or renewed it lives, whatever the clocks say.
            before => Seen { mark: mark.clone(), at: now, past: before.is_none() && clock > lease.expires },
        };
        self.seen = Some(seen.clone());
        seen
    }

    /// Tells whether the lease that was seen last seems to be that of a run that died.
    #[must_use]
    pub fn seems_dead(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.past)
    }
}

/// A run that holds the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    length: Duration,
    /// When the last good request was sent.
    sent: Duration,
}

impl Holder {
    /// Makes the holder of a lease whose good request was sent at a time.
    #[must_use]
    pub fn new(length: Duration, sent: Duration) -> Self {
        Self { length, sent }
    }

    /// Notes a renewal that succeeded, by when it was sent.
    pub fn renewed(&mut self, sent: Duration) {
        self.sent = sent;
    }

    /// Returns when to renew it.
    #[must_use]
    pub fn renew_at(&self) -> Duration {
        self.sent + self.length / 3
    }

    /// Returns when to try again after a failure.
    #[must_use]
    pub fn again_at(&self, now: Duration) -> Duration {
        now + self.length / 12
    }

    /// Returns from when on it is lost: before anybody may take it over.
    #[must_use]
    pub fn lost_at(&self) -> Duration {
        self.sent + self.length / 6 * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::item::{Fields, Run, give_back, own, renew, take};
    use crate::lease::testing::write;
    use proptest::prelude::*;

    const LENGTH: Duration = Duration::from_mins(1);

    fn lease(beat: i64, expires: i64) -> Lease {
        let mark = Mark { owner: "other".to_owned(), token: 1, beat };
        Lease {
            mark: Some(mark),
            token: 1,
            run: Run::default(),
            length: LENGTH,
            since: 0,
            expires,
            released: None,
            released_by: None,
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_free_lease_is_taken_at_once() {
        let free = Lease { mark: None, ..lease(0, 0) };
        assert_eq!(Waiter::new(Duration::ZERO).next(None, seconds(0), 0), Next::Take(Expect::Free));
        assert_eq!(Waiter::new(Duration::ZERO).next(Some(&free), seconds(0), 0), Next::Take(Expect::Free));
    }

    #[test]
    fn a_living_holder_is_waited_for_as_long_as_asked() {
        assert_eq!(Waiter::new(Duration::ZERO).next(Some(&lease(0, 9)), seconds(0), 5), Next::GiveUp);
        let mut waiter = Waiter::new(seconds(100));
        for (beat, now) in [(0, 0), (1, 40), (2, 80), (3, 99)] {
            assert_eq!(waiter.next(Some(&lease(beat, 9)), seconds(now), 5), Next::Wait(seconds(1)), "{now}");
        }
        assert_eq!(waiter.next(Some(&lease(3, 9)), seconds(100), 5), Next::GiveUp);
    }

    #[test]
    fn a_silent_holder_is_followed_after_the_length_of_its_lease() {
        let mut waiter = Waiter::new(seconds(100));
        waiter.next(Some(&lease(0, 9)), seconds(3), 5);
        assert_eq!(
            waiter.next(Some(&lease(0, 9)), Duration::from_millis(62_900), 5),
            Next::Wait(Duration::from_millis(100))
        );
        let seen = lease(0, 9).mark.unwrap();
        assert_eq!(waiter.next(Some(&lease(0, 9)), seconds(63), 5), Next::Take(Expect::Seen(seen)));
    }

    #[test]
    fn an_expired_lease_is_worth_the_wait() {
        let mut waiter = Waiter::new(Duration::ZERO);
        assert_eq!(waiter.next(Some(&lease(0, 4)), seconds(0), 5), Next::Wait(seconds(1)));
        assert!(waiter.seems_dead());
        assert!(matches!(waiter.next(Some(&lease(0, 4)), seconds(60), 5), Next::Take(_)));
        // The clocks differ, and its holder lives.
        let mut waiter = Waiter::new(Duration::ZERO);
        waiter.next(Some(&lease(0, 4)), seconds(0), 5);
        assert_eq!(waiter.next(Some(&lease(1, 4)), seconds(1), 5), Next::GiveUp);
        assert!(!waiter.seems_dead());
    }

    #[test]
    fn a_holder_renews_twice_before_it_gives_up() {
        let mut holder = Holder::new(LENGTH, seconds(10));
        assert_eq!((holder.renew_at(), holder.lost_at()), (seconds(30), seconds(60)));
        holder.renewed(seconds(30));
        assert_eq!((holder.again_at(seconds(51)), holder.lost_at()), (seconds(56), seconds(80)));
    }

    /// One machine of the model: its clocks, what it believes, and the call that is on its way.
    #[derive(Debug)]
    struct Machine {
        /// How far its monotonic clock is from the world's, and its clock of the day.
        offset: (u64, i64),
        length: Duration,
        waiter: Waiter,
        holder: Option<(Mark, Holder)>,
        looked: Option<Next>,
        takes: u32,
        /// When the answer of its last call came, by the world's clock.
        answered: u64,
    }

    impl Machine {
        fn now(&self, world: u64) -> Duration {
            Duration::from_millis(world + self.offset.0)
        }

        fn clock(&self, world: u64) -> i64 {
            i64::try_from(world).unwrap() + self.offset.1
        }

        fn believes(&self, world: u64) -> bool {
            self.holder.as_ref().is_some_and(|(_, holder)| self.now(world) < holder.lost_at())
        }

        /// Makes one call: it was sent at `sent`, reaches the table now, and is answered at `answered`.
        fn call(&mut self, name: usize, item: &mut Fields, sent: u64, now: u64, answered: u64) {
            let sent = sent.max(self.answered);
            self.answered = answered;
            if let Some((mark, mut holder)) = self.holder.take() {
                // Nobody renews a lease that is lost.
                let live = self.now(sent) < holder.lost_at();
                if live && write(item, &renew(&mark, self.length, self.clock(now))) {
                    holder.renewed(self.now(sent));
                    self.holder = Some((mark, holder));
                }
            } else if let Some(Next::Take(expect)) = self.looked.take() {
                self.takes += 1;
                let owner = format!("{name}-{}", self.takes);
                let change = take(expect, &owner, &Run::default(), self.length, self.clock(now));
                if write(item, &change) {
                    let mark = Lease::read(item).and_then(|lease| lease.mark).unwrap();
                    self.holder = Some((mark, Holder::new(self.length, self.now(sent))));
                    self.waiter = Waiter::new(Duration::MAX);
                }
            } else {
                let lease = Lease::read(item);
                let (after, clock) = (self.now(answered), self.clock(answered));
                self.looked = Some(self.waiter.next(lease.as_ref(), after, clock));
            }
        }

        fn finish(&mut self, item: &mut Fields, clock: i64) {
            if let Some((mark, _)) = self.holder.take() {
                write(item, &give_back(own(&mark), clock));
            }
        }
    }

    fn machine() -> impl Strategy<Value = Machine> {
        let offset = (0_u64..10_000_000, -10_000_000_i64..10_000_000);
        // Runs of different versions of the file have leases of different lengths.
        (offset, 20_000_u64..120_000).prop_map(|(offset, length)| Machine {
            offset,
            length: Duration::from_millis(length),
            waiter: Waiter::new(Duration::MAX),
            holder: None,
            looked: None,
            takes: 0,
            answered: 0,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        /// Whatever the clocks say, however long calls are on their way, whoever falls silent: no two machines believe
        /// at the same time that the lease is theirs, and tokens only grow.
        #[test]
        fn never_two_at_once(
            mut machines in proptest::collection::vec(machine(), 2..5),
            steps in proptest::collection::vec((0_usize..5, 0_u64..8_000, 0_u64..10_000, 0_u64..10_000, 0_u8..12), 1..250),
        ) {
            let (mut world, mut item, mut token) = (60_000_u64, Fields::new(), 0);
            let mut taken = 0;
            for (who, pause, way, back, what) in steps {
                world += pause;
                let name = who % machines.len();
                // The call was sent `way` ago and is answered `back` later; until then the machine makes no other.
                match what {
                    _ if machines[name].answered > world => {}
                    0 => { let clock = machines[name].clock(world); machines[name].finish(&mut item, clock); }
                    // It stands still for a while.
                    1 => machines[name].answered = world + 20 * back,
                    _ => machines[name].call(name, &mut item, world - way.min(world), world, world + back),
                }
                let believers = machines.iter().filter(|machine| machine.believes(world)).count();
                prop_assert!(believers <= 1, "{believers} at {world}: {machines:?}");
                if let Some(lease) = Lease::read(&item) {
                    prop_assert!(lease.token >= token);
                    taken += i64::from(lease.token > token);
                    token = lease.token;
                }
            }
            prop_assert_eq!(taken, token);
        }
    }
}
