//! The first check of every call: lengths, character sets, ranges and enumerations of single fields.
//!
//! AWS reports all broken constraints of a call at once in one text; this module collects them. It knows
//! nothing of services: each passes the error code that it uses for such a report.

use super::Fault;

/// A set of allowed characters with the pattern that AWS quotes for it.
#[derive(Clone, Copy)]
pub(crate) struct Charset {
    pub(crate) pattern: &'static str,
    pub(crate) allows: fn(char) -> bool,
}

/// Broken constraints of one call.
#[derive(Default)]
pub(crate) struct Constraints(Vec<String>);

impl Constraints {
    /// Starts with nothing broken.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Requires a field.
    pub(crate) fn required(&mut self, field: &str, value: Option<&str>) {
        if value.is_none() {
            self.0.push(format!("Value null at '{field}' failed to satisfy constraint: Member must not be null"));
        }
    }

    /// Requires a length in characters, when the field is there.
    pub(crate) fn length(&mut self, field: &str, value: Option<&str>, least: usize, most: usize) {
        let Some(value) = value else { return };
        let count = value.chars().count();
        if count < least {
            self.refuse(field, value, &format!("Member must have length greater than or equal to {least}"));
        } else if count > most {
            self.refuse(field, value, &format!("Member must have length less than or equal to {most}"));
        }
    }

    /// Requires characters of a set, when the field is there.
    pub(crate) fn charset(&mut self, field: &str, value: Option<&str>, set: Charset) {
        if let Some(value) = value
            && !value.chars().all(set.allows)
        {
            let rule = format!("Member must satisfy regular expression pattern: {}", set.pattern);
            self.refuse(field, value, &rule);
        }
    }

    /// Requires a whole shape, when the field is there.
    pub(crate) fn shape(&mut self, field: &str, value: Option<&str>, pattern: &str, fits: impl Fn(&str) -> bool) {
        if let Some(value) = value
            && !fits(value)
        {
            self.refuse(field, value, &format!("Member must satisfy regular expression pattern: {pattern}"));
        }
    }

    /// Requires one of some values, when the field is there.
    pub(crate) fn one_of(&mut self, field: &str, value: Option<&str>, allowed: &[&str]) {
        if let Some(value) = value
            && !allowed.contains(&value)
        {
            let rule = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
            self.refuse(field, value, &rule);
        }
    }

    /// Requires a number within bounds, when the field is there.
    pub(crate) fn range(&mut self, field: &str, value: Option<i64>, least: i64, most: i64) {
        let Some(value) = value else { return };
        if value < least {
            self.refuse(field, &value.to_string(), &format!("Member must have value greater than or equal to {least}"));
        } else if value > most {
            self.refuse(field, &value.to_string(), &format!("Member must have value less than or equal to {most}"));
        }
    }

    fn refuse(&mut self, field: &str, value: &str, rule: &str) {
        self.0.push(format!("Value '{value}' at '{field}' failed to satisfy constraint: {rule}"));
    }

    /// Ends the check: a fault with this code when anything was broken.
    pub(crate) fn done(self, code: &str) -> Result<(), Fault> {
        match self.0.as_slice() {
            [] => Ok(()),
            [one] => Err(Fault::new(code, format!("1 validation error detected: {one}"))),
            all => Err(Fault::new(code, format!("{} validation errors detected: {}", all.len(), all.join("; ")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWER: Charset = Charset { pattern: "[a-z]+", allows: |letter| letter.is_ascii_lowercase() };

    #[test]
    fn good_values_and_absent_ones_pass() {
        let mut check = Constraints::new();
        check.required("a", Some("x"));
        check.length("a", Some("xyz"), 1, 3);
        check.length("b", None, 1, 3);
        check.charset("a", Some("xyz"), LOWER);
        check.one_of("a", Some("x"), &["x", "y"]);
        check.range("n", Some(5), 1, 5);
        assert!(check.done("ValidationError").is_ok());
    }

    #[test]
    fn all_broken_constraints_are_told_together() {
        let mut check = Constraints::new();
        check.required("name", None);
        check.length("text", Some("äöü"), 1, 2);
        check.charset("word", Some("X"), LOWER);
        check.range("n", Some(9), 1, 5);
        let fault = check.done("ValidationError").unwrap_err();
        assert_eq!(fault.code, "ValidationError");
        assert!(fault.message.starts_with("4 validation errors detected: Value null at 'name'"), "{}", fault.message);
        assert!(
            fault.message.contains("'n' failed to satisfy constraint: Member must have value less than or equal to 5")
        );
    }
}
