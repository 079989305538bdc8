//! Values that must not be written: taken out of the attributes before anybody reads them, and known again afterwards.
//!
//! What stands in for one is a text of two letters from Unicode's private use area with a number between them, which
//! passes through every mapping.

use serde_json::{Map, Value};

use super::state::Step;

const FENCE: char = '\u{e0c1}';
/// Shorter texts are ordinary words.
const SHORT: usize = 6;
/// Shorter texts stand in other words by chance.
const LONG: usize = 8;

/// The secrets of a state file by number.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<Value>);

impl Secrets {
    /// Puts stand-ins into attributes for what lies at some paths.
    pub(super) fn take(&mut self, attributes: &mut Map<String, Value>, paths: &[Vec<Step>]) {
        for path in paths {
            let Some((Step::Name(first), rest)) = path.split_first() else { continue };
            if let Some(value) = attributes.get_mut(first).and_then(|value| at(value, rest)) {
                self.cover(value);
            }
        }
    }

    fn cover(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|inner| self.cover(inner)),
            Value::Array(items) => items.iter_mut().for_each(|inner| self.cover(inner)),
            Value::Null => {}
            Value::String(text) if text.is_empty() || number(text).is_some() => {}
            plain => *plain = self.stand_in(plain.clone()).into(),
        }
    }

    /// Keeps a secret and returns what stands in for it; the same secret always has the same.
    pub(super) fn stand_in(&mut self, secret: Value) -> String {
        let known = self.0.iter().position(|known| *known == secret);
        let number = known.unwrap_or_else(|| {
            self.0.push(secret);
            self.0.len() - 1
        });
        format!("{FENCE}{number}{FENCE}")
    }

    /// Returns the secret that a text stands in for.
    pub(super) fn of(&self, text: &str) -> Option<(usize, &Value)> {
        let number = number(text)?;
        self.0.get(number).map(|secret| (number, secret))
    }

    /// Finds the first secret in a text: where it begins, where it ends, and its number.
    pub(super) fn inside(&self, text: &str) -> Option<(usize, usize, usize)> {
        let texts = self.0.iter().enumerate().filter_map(|(number, secret)| Some((number, secret.as_str()?)));
        let same = |secret: &str| secret == text && secret.chars().count() >= SHORT;
        let long = texts.filter(|(_, secret)| is_telling(secret) || same(secret));
        let places = long.filter_map(|(number, secret)| text.find(secret).map(|at| (at, at + secret.len(), number)));
        places.min_by_key(|(start, end, _)| (*start, usize::MAX - end))
    }

    /// Returns the secrets that can be found in messages.
    pub(super) fn texts(&self) -> Vec<String> {
        let texts = self.0.iter().filter_map(Value::as_str).filter(|text| is_telling(text));
        texts.map(str::to_owned).collect()
    }
}

/// Tells whether a text would hardly stand somewhere by chance: Terraform calls many a plain word secret, such as the
/// value of any SSM parameter.
fn is_telling(secret: &str) -> bool {
    let parts: Vec<&str> = secret.split('-').collect();
    let is_region = parts.len() >= 3 && parts.last().is_some_and(|last| last.len() <= 2);
    secret.chars().count() >= LONG && secret.chars().any(|letter| letter.is_ascii_digit()) && !is_region
}

fn number(text: &str) -> Option<usize> {
    text.strip_prefix(FENCE)?.strip_suffix(FENCE)?.parse().ok()
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    let Some((step, rest)) = path.split_first() else { return Some(value) };
    let inner = match step {
        Step::Name(name) => value.as_object_mut()?.get_mut(name)?,
        Step::Index(index) => value.as_array_mut()?.get_mut(*index)?,
    };
    at(inner, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_taken_out_and_known_again() {
        let mut secrets = Secrets::default();
        let mut map = json!({"a": [{"b": "hunter2"}], "c": 5, "d": "", "e": "hunter2"}).as_object().unwrap().clone();
        let name = |name: &str| Step::Name(name.to_owned());
        let paths =
            [vec![name("a"), Step::Index(0)], vec![name("c")], vec![name("d")], vec![name("x")], vec![name("e")]];
        secrets.take(&mut map, &paths);
        assert!(!json!(map).to_string().contains("hunter2"));
        assert_eq!(secrets.of(map["c"].as_str().unwrap()), Some((1, &json!(5))));
        assert_eq!(map["a"][0]["b"], map["e"], "the same secret");
        assert_eq!(map["d"], "");
        assert_eq!(secrets.of("plain"), None);
    }

    #[test]
    fn secrets_inside_other_texts_are_found() {
        let mut secrets = Secrets::default();
        for secret in ["hunter22", "hunter22hunter22", "ab", "us-east-1", "production"] {
            secrets.stand_in(secret.into());
        }
        assert_eq!(secrets.inside("x hunter22hunter22"), Some((2, 18, 1)), "the longer one");
        assert!(
            ["abc", "ab", "arn:aws:sns:us-east-1:1:a", "in production"]
                .iter()
                .all(|text| secrets.inside(text).is_none())
        );
        assert_eq!(secrets.inside("production"), Some((0, 10, 4)), "the whole text");
        assert_eq!(secrets.texts(), ["hunter22", "hunter22hunter22"]);
    }
}
