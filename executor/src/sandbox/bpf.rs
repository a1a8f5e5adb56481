//! A small assembler for system call filters, and the tree that finds a
//! system call's rule by its number.
//!
//! What it is: classic BPF, written from the end to the beginning. All jumps of
//! a filter go forward, so whoever writes backwards knows every distance and
//! needs no second pass.
//! What it is not: policy. What to do with which call is `seccomp.rs`.
//!
//! Why not seccompiler's programs: they compare number after number, and the
//! kernel walks a program once for each system call when it is installed. A
//! balanced tree is walked in a dozen steps; that is most of a run's start.
//!
//! Invariants: no jump leaves the program; a program ends in a verdict on every
//! path; it is at most 4,096 instructions long (the kernel's bound).

use libc::sock_filter;

/// Most instructions of a program that the kernel accepts.
const INSTRUCTIONS_MAX: usize = 4096;

// Classic BPF as the kernel defines it in <linux/bpf_common.h>.
const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

// Offsets in the kernel's `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGS_AT: u32 = 16;

/// The 64-bit x86 architecture, as system call filters see it.
pub(crate) const ARCH_X86_64: u32 = 0xc000_003e;

/// A place in the program, counted from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(usize);

/// A half of a 64-bit argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// Bits 0 to 31: all of a C `int`.
    Low,
    /// Bits 32 to 63.
    High,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equal,
    GreaterOrEqual,
    AnyBit,
}

/// What the kernel does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// Executes it.
    Allow,
    /// Doesn't execute it, and returns this error number.
    Errno(u16),
    /// Stops the caller and announces the call on the filter's listener.
    Announce,
    /// Kills the process.
    Kill,
}

impl Verdict {
    /// As the kernel wants it.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
            Self::Announce => libc::SECCOMP_RET_USER_NOTIF,
            Self::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// Why a program can't be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BpfError {
    /// More instructions than the kernel accepts.
    #[error("the system call filter has {0} instructions; the kernel accepts 4096")]
    TooLong(usize),
}

/// A program under construction, from its last instruction to its first.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    reversed: Vec<sock_filter>,
    verdicts: Vec<(Verdict, Place)>,
}

impl Assembler {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Place {
        self.reversed.push(sock_filter { code, jt, jf, k });
        Place(self.reversed.len())
    }

    /// A place that gives the verdict, near enough to be jumped to from here.
    pub(crate) fn verdict(&mut self, verdict: Verdict) -> Place {
        let near = |place: &Place| self.distance(*place) <= NEAR;
        let known = self
            .verdicts
            .iter()
            .find(|(known, place)| *known == verdict && near(place));
        if let Some((_, place)) = known {
            return *place;
        }
        let place = self.push(RETURN, 0, 0, verdict.code());
        self.verdicts.retain(|(known, _)| *known != verdict);
        self.verdicts.push((verdict, place));
        place
    }

    /// Instructions between the next one written and `place`.
    fn distance(&self, place: Place) -> usize {
        self.reversed.len().saturating_sub(place.0)
    }

    /// Brings `place` within a conditional jump's reach of the next two
    /// instructions.
    fn within_reach(&mut self, place: Place) -> Place {
        let distance = self.distance(place);
        if distance <= NEAR {
            return place;
        }
        self.push(JUMP, 0, 0, u32::try_from(distance).unwrap_or(u32::MAX))
    }

    fn branch(&mut self, test: Test, value: u32, yes: Place, no: Place) -> Place {
        let yes = self.within_reach(yes);
        let no = self.within_reach(no);
        let code = match test {
            Test::Equal => JUMP_EQUAL,
            Test::GreaterOrEqual => JUMP_GREATER_OR_EQUAL,
            Test::AnyBit => JUMP_ANY_BIT,
        };
        let reach = |place: Place| u8::try_from(self.distance(place)).unwrap_or(u8::MAX);
        let (yes, no) = (reach(yes), reach(no));
        self.push(code, yes, no, value)
    }

    /// Goes to `yes` when the accumulator equals `value`, else to `no`.
    pub(crate) fn if_equal(&mut self, value: u32, yes: Place, no: Place) -> Place {
        self.branch(Test::Equal, value, yes, no)
    }

    /// Goes to `yes` when the accumulator has any bit of `mask`, else to `no`.
    pub(crate) fn if_any_bit(&mut self, mask: u32, yes: Place, no: Place) -> Place {
        self.branch(Test::AnyBit, mask, yes, no)
    }

    /// Keeps the bits of `mask` only. Falls through to what was written last,
    /// which must be `next`.
    pub(crate) fn and(&mut self, mask: u32, next: Place) -> Place {
        self.fall_through(next);
        self.push(AND, 0, 0, mask)
    }

    /// Loads a half of an argument (0 to 5). Falls through to `next`.
    pub(crate) fn load_argument(&mut self, index: u8, half: Half, next: Place) -> Place {
        let half = match half {
            Half::Low => 0,
            Half::High => 4,
        };
        let at = u32::from(index).saturating_mul(8).saturating_add(half);
        self.load(ARGS_AT.saturating_add(at), next)
    }

    fn load(&mut self, at: u32, next: Place) -> Place {
        self.fall_through(next);
        self.push(LOAD_WORD, 0, 0, at)
    }

    /// Makes `next` the next instruction: a jump, unless it is that already.
    fn fall_through(&mut self, next: Place) {
        let distance = self.distance(next);
        if distance > 0 {
            self.push(JUMP, 0, 0, u32::try_from(distance).unwrap_or(u32::MAX));
        }
    }

    /// Goes to `yes` when a whole 64-bit argument equals `value`, else to `no`.
    pub(crate) fn if_argument(&mut self, index: u8, value: u64, yes: Place, no: Place) -> Place {
        let low = u32::try_from(value & 0xffff_ffff).unwrap_or_default();
        let high = u32::try_from(value >> 32).unwrap_or_default();
        let high_test = self.if_equal(high, yes, no);
        let high_load = self.load_argument(index, Half::High, high_test);
        let low_test = self.if_equal(low, high_load, no);
        self.load_argument(index, Half::Low, low_test)
    }

    /// What was written, without a tree before it.
    pub(crate) fn plain(mut self) -> Vec<sock_filter> {
        self.reversed.reverse();
        self.reversed
    }

    /// The tree over leaves, balanced.
    fn tree(&mut self, leaves: &[Leaf]) -> Option<Place> {
        let (first, rest) = leaves.split_first()?;
        if rest.is_empty() {
            let singles = first.singles.iter().rev();
            return Some(singles.fold(first.rest, |next, (number, place)| {
                self.if_equal(*number, *place, next)
            }));
        }
        let (below, above) = leaves.split_at(leaves.len().div_ceil(2));
        let pivot = above.first()?.first;
        let above = self.tree(above)?;
        let below = self.tree(below)?;
        Some(self.branch(Test::GreaterOrEqual, pivot, above, below))
    }

    /// Completes a filter: kills calls of another architecture, then finds the
    /// place of the call's number. `rows` are (first number, place), ascending,
    /// the first at zero; a row ends where the next begins, and the last one
    /// doesn't end: it takes x32 and negative numbers too.
    ///
    /// # Errors
    ///
    /// [`BpfError::TooLong`].
    pub(crate) fn finish(mut self, rows: &[(u32, Place)]) -> Result<Vec<sock_filter>, BpfError> {
        let kill = self.verdict(Verdict::Kill);
        let root = self.tree(&leaves(rows)).unwrap_or(kill);
        let number = self.load(NUMBER_AT, root);
        let kill = self.verdict(Verdict::Kill);
        let arch = self.if_equal(ARCH_X86_64, number, kill);
        self.load(ARCH_AT, arch);
        if self.reversed.len() > INSTRUCTIONS_MAX {
            return Err(BpfError::TooLong(self.reversed.len()));
        }
        self.reversed.reverse();
        Ok(self.reversed)
    }
}

/// Most numbers that a leaf tests one by one.
const SINGLES_MAX: usize = 3;

/// Neighbouring numbers that mostly go to one place: calls are scattered, and a
/// single one among others is tested in one instruction, not in two.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leaf {
    first: u32,
    singles: Vec<(u32, Place)>,
    rest: Place,
}

/// Cuts rows into leaves.
fn leaves(rows: &[(u32, Place)]) -> Vec<Leaf> {
    let is_single = |row: usize| match (rows.get(row), rows.get(row.saturating_add(1))) {
        (Some((first, _)), Some((next, _))) => first.saturating_add(1) == *next,
        _ => false,
    };
    let mut leaves = Vec::new();
    let mut at = 0_usize;
    while let Some((first, place)) = rows.get(at) {
        let mut leaf = Leaf {
            first: *first,
            singles: Vec::new(),
            rest: *place,
        };
        // A leaf may begin with a single; what follows it is then the rest.
        let mut rest_row = at;
        if is_single(at)
            && let Some((_, rest)) = rows.get(at.saturating_add(1))
        {
            leaf.singles.push((*first, *place));
            leaf.rest = *rest;
            rest_row = at.saturating_add(1);
        }
        // Singles, as long as the rest goes on after each.
        while leaf.singles.len() < SINGLES_MAX && is_single(rest_row.saturating_add(1)) {
            let single = rows.get(rest_row.saturating_add(1));
            let after = rows.get(rest_row.saturating_add(2));
            match (single, after) {
                (Some(single), Some((_, rest))) if *rest == leaf.rest => leaf.singles.push(*single),
                _ => break,
            }
            rest_row = rest_row.saturating_add(2);
        }
        at = rest_row.saturating_add(1);
        leaves.push(leaf);
    }
    leaves
}

/// Farthest that a conditional jump is let go: 255, less what the two far jumps
/// and a verdict of the same branch may add.
const NEAR: usize = 250;

/// Runs a program as the kernel would.
#[cfg(test)]
pub(crate) fn judge(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = vec![number, arch, 0, 0];
    for arg in args {
        data.push(u32::try_from(arg & 0xffff_ffff).unwrap());
        data.push(u32::try_from(arg >> 32).unwrap());
    }
    let (mut at, mut accumulator) = (0_usize, 0);
    for _ in 0..program.len() {
        let sock_filter { code, jt, jf, k } = program[at];
        let jump = |test: bool| usize::from(if test { jt } else { jf });
        let skipped = match code {
            LOAD_WORD => {
                accumulator = data[usize::try_from(k / 4).unwrap()];
                0
            }
            AND => {
                accumulator &= k;
                0
            }
            JUMP => usize::try_from(k).unwrap(),
            JUMP_EQUAL => jump(accumulator == k),
            JUMP_GREATER_OR_EQUAL => jump(accumulator >= k),
            JUMP_ANY_BIT => jump(accumulator & k != 0),
            RETURN => return k,
            other => panic!("unknown instruction {other:#x}"),
        };
        at = at
            .checked_add(skipped)
            .and_then(|at| at.checked_add(1))
            .unwrap();
    }
    panic!("the program doesn't end");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that allows the numbers, and announces all others.
    fn allowing(numbers: &[u32]) -> Vec<sock_filter> {
        let mut program = Assembler::default();
        let announce = program.verdict(Verdict::Announce);
        let allow = program.verdict(Verdict::Allow);
        let mut rows = vec![];
        let place_of = |number: u32| {
            if numbers.contains(&number) {
                allow
            } else {
                announce
            }
        };
        let mut last = None;
        for number in 0..600 {
            let place = place_of(number);
            if last != Some(place) {
                rows.push((number, place));
                last = Some(place);
            }
        }
        program.finish(&rows).unwrap()
    }

    #[test]
    fn finds_every_number_whatever_its_neighbours() {
        let every_third: Vec<u32> = (0..500).filter(|number| number % 3 == 0).collect();
        let cases: [(&[u32], &str); 7] = [
            (&[], "nothing"),
            (&[0], "the first"),
            (&[0, 1, 2, 3], "a range at the beginning"),
            (&[5, 7, 9, 11, 13, 15, 17], "singles, one apart"),
            (&[1, 2, 4, 5, 7, 8, 300], "pairs"),
            (&[499, 500, 599], "the end"),
            (&every_third, "far more than a jump can span"),
        ];
        for (numbers, why) in cases {
            let program = allowing(numbers);
            for number in (0..700).chain([0x4000_0000, 0xffff_ffff]) {
                let allowed =
                    numbers.contains(&number) || (number >= 600 && numbers.contains(&599));
                let expected = if allowed {
                    Verdict::Allow
                } else {
                    Verdict::Announce
                };
                let verdict = judge(&program, ARCH_X86_64, number, [0; 6]);
                assert_eq!(verdict, expected.code(), "{why}: {number}");
            }
        }
    }

    #[test]
    fn kills_another_architecture() {
        let program = allowing(&[0, 1, 2]);
        for (arch, why) in [
            (0x4000_0003, "32-bit x86"),
            (0xc000_00b7, "ARM"),
            (0, "none"),
        ] {
            let verdict = judge(&program, arch, 0, [0; 6]);
            assert_eq!(verdict, Verdict::Kill.code(), "{why}");
        }
    }

    #[test]
    fn compares_both_halves_of_an_argument() {
        let mut program = Assembler::default();
        let allow = program.verdict(Verdict::Allow);
        let deny = program.verdict(Verdict::Errno(1));
        let test = program.if_argument(2, 0x1_0000_0002, allow, deny);
        let program = program.finish(&[(0, test)]).unwrap();
        let cases = [
            (0x1_0000_0002, Verdict::Allow, "equal"),
            (0x0_0000_0002, Verdict::Errno(1), "the low half only"),
            (0x1_0000_0000, Verdict::Errno(1), "the high half only"),
        ];
        for (value, expected, why) in cases {
            let verdict = judge(&program, ARCH_X86_64, 7, [9, 9, value, 9, 9, 9]);
            assert_eq!(verdict, expected.code(), "{why}");
        }
    }

    #[test]
    fn refuses_a_program_that_the_kernel_would() {
        let mut program = Assembler::default();
        let allow = program.verdict(Verdict::Allow);
        let mut next = allow;
        for value in 0..5000 {
            next = program.if_equal(value, allow, next);
        }
        assert!(matches!(
            program.finish(&[(0, next)]),
            Err(BpfError::TooLong(_))
        ));
    }
}
