//! The item of a lease: its form, and the changes that are made to it.
//!
//! It knows DynamoDB's expressions, and neither a client nor a clock.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Name of the hash key, the same as in Terraform's lock tables, so that one table can serve both.
pub const KEY: &str = "LockID";

/// How long an item stays after the last write, where the table has time to live on `ttl`.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Lengths that a lease can have: what stack files may say, with room for other versions. Of another length, watching it
/// would take no time at all, or no end.
const LENGTHS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// Type S.
    Text(String),
    /// Type N.
    Number(i64),
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Attributes by name.
pub type Fields = BTreeMap<String, Field>;

/// Returns the key of a stack's item.
#[must_use]
pub fn key(account: &str, region: &str, stack: &str) -> String {
    format!("stackctl/{account}/{region}/{stack}")
}

/// What tells two states of a held lease apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Random id of the run that holds it.
    pub owner: String,
    /// Count of the takings.
    pub token: i64,
    /// Count of the renewals since.
    pub beat: i64,
}

/// A run, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// `user@host`.
    pub who: String,
    /// Machine.
    pub host: String,
    /// Process on the machine.
    pub pid: i64,
    /// `apply` or `destroy`.
    pub operation: String,
    /// Version of stackctl.
    pub version: String,
    /// Page of the CI job that it runs in.
    pub job: Option<String>,
}

/// What an item says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it; none when it was given back.
    pub mark: Option<Mark>,
    /// Count of the takings.
    pub token: i64,
    /// The run that holds it, or held it last.
    pub run: Run,
    /// How long it lasts without a renewal.
    pub length: Duration,
    /// When it was taken, in milliseconds since 1970 by the holder's clock.
    pub since: i64,
    /// When it ends without a renewal, in the same way.
    pub expires: i64,
    /// When it was given back, in the same way.
    pub released: Option<i64>,
    /// Who ended it, when it was not the holder.
    pub released_by: Option<String>,
}

impl Lease {
    /// Reads an item; none when somebody holds it in a form that cannot be told apart from its next state. Other
    /// things that are missing read as empty.
    #[must_use]
    pub fn read(fields: &Fields) -> Option<Self> {
        let text = |name: &str| match fields.get(name) {
            Some(Field::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let number = |name: &str| match fields.get(name) {
            Some(Field::Number(number)) => Some(*number),
            _ => None,
        };
        let length = number("length").and_then(|length| u64::try_from(length).ok()).map(Duration::from_millis);
        let mark = if fields.contains_key("owner") {
            length.filter(|length| LENGTHS.contains(length))?;
            Some(Mark { owner: text("owner")?, token: number("token")?, beat: number("beat")? })
        } else {
            None
        };
        Some(Self {
            mark,
            token: number("token").unwrap_or_default(),
            run: Run {
                who: text("who").unwrap_or_default(),
                host: text("host").unwrap_or_default(),
                pid: number("pid").unwrap_or_default(),
                operation: text("operation").unwrap_or_default(),
                version: text("version").unwrap_or_default(),
                job: text("job"),
            },
            length: length.unwrap_or_default(),
            since: number("since").unwrap_or_default(),
            expires: number("expires").unwrap_or_default(),
            released: number("released"),
            released_by: text("released_by"),
        })
    }
}

impl Lease {
    /// Tells whether its holder of this token has given it back, and nobody has taken it since.
    #[must_use]
    pub fn is_given_back(&self, token: i64) -> bool {
        self.mark.is_none() && self.token == token && self.released_by.is_none()
    }
}

/// What must hold for a change to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nobody holds it.
    Free,
    /// It is exactly as it was seen.
    Seen(Mark),
    /// This run holds it, however often it was renewed.
    Held {
        /// Random id of the run.
        owner: String,
        /// Its token; none while it is not known.
        token: Option<i64>,
    },
}

/// A conditional change of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The condition.
    pub expect: Expect,
    /// Attributes that get a value.
    pub set: Fields,
    /// Counters that grow by one, from zero.
    pub grow: &'static [&'static str],
    /// Attributes that go away.
    pub remove: &'static [&'static str],
}

/// Takes the lease.
#[must_use]
pub fn take(expect: Expect, owner: &str, run: &Run, length: Duration, now: i64) -> Change {
    let mut set = Fields::from([
        ("owner".to_owned(), owner.into()),
        ("beat".to_owned(), Field::Number(0)),
        ("who".to_owned(), run.who.as_str().into()),
        ("host".to_owned(), run.host.as_str().into()),
        ("pid".to_owned(), Field::Number(run.pid)),
        ("operation".to_owned(), run.operation.as_str().into()),
        ("version".to_owned(), run.version.as_str().into()),
        ("since".to_owned(), Field::Number(now)),
        ("length".to_owned(), Field::Number(millis(length))),
    ]);
    set.extend(run.job.as_deref().map(|job| ("job".to_owned(), job.into())));
    set.extend(ends(now, length));
    // One path must not stand in SET and in REMOVE.
    let remove: &[&str] =
        if run.job.is_some() { &["released", "released_by"] } else { &["released", "released_by", "job"] };
    Change { expect, set, grow: &["token"], remove }
}

/// Renews the lease.
#[must_use]
pub fn renew(mark: &Mark, length: Duration, now: i64) -> Change {
    Change { expect: own(mark), set: ends(now, length), grow: &["beat"], remove: &[] }
}

/// Gives the lease back.
#[must_use]
pub fn give_back(expect: Expect, now: i64) -> Change {
    let set = Fields::from([("released".to_owned(), Field::Number(now)), kept_until(now)]);
    Change { expect, set, grow: &[], remove: &["owner", "beat", "expires"] }
}

/// Ends the lease of another run, as it was seen.
#[must_use]
pub fn end(seen: &Mark, by: &str, now: i64) -> Change {
    // Renewals since do not matter: it is still the same run.
    let mut change = give_back(own(seen), now);
    change.set.insert("released_by".to_owned(), by.into());
    change
}

/// Expects the run of a mark, however often it has renewed its lease.
#[must_use]
pub fn own(mark: &Mark) -> Expect {
    Expect::Held { owner: mark.owner.clone(), token: Some(mark.token) }
}

fn ends(now: i64, length: Duration) -> Fields {
    let expires = ("expires".to_owned(), Field::Number(now.saturating_add(millis(length))));
    Fields::from([expires, kept_until(now)])
}

/// Time to live counts in seconds.
fn kept_until(now: i64) -> (String, Field) {
    ("ttl".to_owned(), Field::Number(now.saturating_add(millis(KEPT)) / 1000))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A change in DynamoDB's words. Every name has a placeholder, since some are reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// `SET … REMOVE …`
    pub update: String,
    /// The condition.
    pub condition: String,
    /// Attribute names by placeholder.
    pub names: BTreeMap<String, String>,
    /// Values by placeholder.
    pub values: Fields,
}

impl Change {
    /// Puts the change into DynamoDB's words.
    #[must_use]
    pub fn expression(&self) -> Expression {
        let mut values: Fields = self.set.iter().map(|(name, value)| (format!(":{name}"), value.clone())).collect();
        let mut names: Vec<&str> = self.set.keys().map(String::as_str).chain(self.grow.iter().copied()).collect();
        names.extend(self.remove);
        let mut parts: Vec<String> = self.set.keys().map(|name| format!("#{name} = :{name}")).collect();
        parts.extend(self.grow.iter().map(|name| format!("#{name} = if_not_exists(#{name}, :zero) + :one")));
        if !self.grow.is_empty() {
            values.extend([(":zero".to_owned(), Field::Number(0)), (":one".to_owned(), Field::Number(1))]);
        }
        let mut update = format!("SET {}", parts.join(", "));
        if !self.remove.is_empty() {
            let gone: Vec<String> = self.remove.iter().map(|name| format!("#{name}")).collect();
            update.push_str(&format!(" REMOVE {}", gone.join(", ")));
        }
        let wanted = self.expect.fields();
        let mut tests: Vec<String> = wanted.iter().map(|(name, _)| format!("#{name} = :seen_{name}")).collect();
        if wanted.is_empty() {
            tests.push("attribute_not_exists(#owner)".to_owned());
            names.push("owner");
        }
        names.extend(wanted.iter().map(|(name, _)| *name));
        values.extend(wanted.iter().map(|(name, value)| (format!(":seen_{name}"), value.clone())));
        let names = names.into_iter().map(|name| (format!("#{name}"), name.to_owned())).collect();
        Expression { update, condition: tests.join(" AND "), names, values }
    }
}

impl Expect {
    /// Lists the attributes that must be as given; none when there must be no owner.
    fn fields(&self) -> Vec<(&'static str, Field)> {
        match self {
            Self::Free => Vec::new(),
            Self::Seen(mark) => vec![
                ("owner", mark.owner.as_str().into()),
                ("token", Field::Number(mark.token)),
                ("beat", Field::Number(mark.beat)),
            ],
            Self::Held { owner, token } => {
                let token = token.map(|token| ("token", Field::Number(token)));
                std::iter::once(("owner", owner.as_str().into())).chain(token).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_mins(1);

    fn run() -> Run {
        Run {
            who: "ann@ci-7".to_owned(),
            host: "ci-7".to_owned(),
            pid: 42,
            operation: "apply".to_owned(),
            version: "1.2.3".to_owned(),
            job: None,
        }
    }

    #[test]
    fn changes_in_dynamodbs_words() {
        let mark = Mark { owner: "r1".to_owned(), token: 7, beat: 3 };
        let job = Run { job: Some("https://ci/1".to_owned()), ..run() };
        let changes = [
            take(Expect::Free, "r1", &run(), LENGTH, 1_000),
            take(Expect::Seen(mark.clone()), "r2", &job, LENGTH, 1_000),
            renew(&mark, LENGTH, 2_000),
            give_back(own(&mark), 3_000),
            give_back(Expect::Held { owner: "r1".to_owned(), token: None }, 3_000),
            end(&mark, "bob@desk", 4_000),
        ];
        let told: Vec<String> = changes.iter().map(|change| format!("{:#?}", change.expression())).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    /// DynamoDB refuses an expression with a name or a value that it does not use.
    #[test]
    fn every_placeholder_is_used_and_defined() {
        let mark = Mark { owner: "r1".to_owned(), token: 7, beat: 3 };
        for change in [take(Expect::Seen(mark.clone()), "r2", &run(), LENGTH, 0), renew(&mark, LENGTH, 0)] {
            let expression = change.expression();
            let text = format!("{} {}", expression.update, expression.condition);
            let used = |mark: char| {
                let words = text.split(|letter: char| !letter.is_alphanumeric() && !"_:#".contains(letter));
                words
                    .filter(|word| word.starts_with(mark))
                    .map(str::to_owned)
                    .collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(used('#'), expression.names.keys().cloned().collect());
            assert_eq!(used(':'), expression.values.keys().cloned().collect());
        }
    }

    #[test]
    fn strange_items_are_no_leases() {
        let good = take(Expect::Free, "r1", &run(), LENGTH, 0).set;
        let with = |name: &str, value: Field| good.clone().into_iter().chain([(name.to_owned(), value)]).collect();
        let whole: Fields = with("token", Field::Number(1));
        assert_eq!(Lease::read(&whole).unwrap().run, run());
        assert_eq!(Lease::read(&good), None);
        assert_eq!(Lease::read(&with("token", "1".into())), None);
        assert_eq!(Lease::read(&with("length", Field::Number(-1))), None);
        assert_eq!(Lease::read(&Fields::from([("owner".to_owned(), Field::Number(1))])), None);
        assert_eq!(Lease::read(&Fields::new()).unwrap().mark, None);
    }
}
