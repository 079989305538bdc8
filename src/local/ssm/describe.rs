//! `DescribeParameters` and the filters of the list calls.

use serde_json::{Value, json};

use crate::local::{Call, Fault, Tx};

use super::{PARAMETERS, Parameter, page, seconds, texts, validation, with_token};

/// One filter of a list call.
pub(super) struct Filter {
    key: String,
    option: String,
    values: Vec<String>,
}

impl Filter {
    /// Reads and checks filters; `tag:…` keys are allowed where `tag:` is.
    pub(super) fn read(body: &Value, keys: &[&str]) -> Result<Vec<Self>, Fault> {
        body.as_array().into_iter().flatten().map(|filter| Self::read_one(filter, keys)).collect()
    }

    fn read_one(body: &Value, keys: &[&str]) -> Result<Self, Fault> {
        let key = body["Key"].as_str().unwrap_or_default();
        let known = keys.contains(&key) || (keys.contains(&"tag:") && key.len() > 4 && key.starts_with("tag:"));
        if !known {
            let text =
                format!("The filter key '{key}' is not valid. Valid filter keys include: [{}].", keys.join(", "));
            return Err(Fault::new("InvalidFilterKey", text));
        }
        let usual = if key == "Path" { "OneLevel" } else { "Equals" };
        let option = body["Option"].as_str().unwrap_or(usual);
        let options: &[&str] = match key {
            "Path" => &["OneLevel", "Recursive"],
            "Name" => &["Equals", "BeginsWith", "Contains"],
            _ => &["Equals", "BeginsWith"],
        };
        if !options.contains(&option) {
            let text =
                format!("The filter option '{option}' is not valid. Valid options include: [{}].", options.join(", "));
            return Err(Fault::new("InvalidFilterOption", text));
        }
        let values = texts(&body["Values"]);
        if values.len() > 50 || (values.is_empty() && !key.starts_with("tag:")) {
            let text = format!("The filter '{key}' needs between 1 and 50 values.");
            return Err(Fault::new("InvalidFilterValue", text));
        }
        if key == "Path" {
            values.iter().try_for_each(|path| check_path(path))?;
        }
        Ok(Self { key: key.to_owned(), option: option.to_owned(), values })
    }

    /// Tells whether a parameter passes.
    pub(super) fn fits(&self, parameter: &Parameter) -> bool {
        let latest = parameter.versions.last();
        match self.key.as_str() {
            "Name" => self.any(&parameter.name),
            "Type" => self.any(&parameter.kind),
            "DataType" => self.any(&parameter.data_type),
            "Tier" => latest.is_some_and(|version| self.any(&version.tier)),
            "KeyId" => latest.and_then(|version| version.key.as_ref()).is_some_and(|key| self.any(key)),
            "Path" => self.values.iter().any(|path| is_under(&parameter.name, path, self.option == "Recursive")),
            key => {
                let value = key.strip_prefix("tag:").and_then(|tag| parameter.tags.get(tag));
                value.is_some_and(|value| self.values.is_empty() || self.any(value))
            }
        }
    }

    fn any(&self, found: &str) -> bool {
        self.values.iter().any(|wanted| match self.option.as_str() {
            "BeginsWith" => found.starts_with(wanted.as_str()),
            "Contains" => found.contains(wanted.as_str()),
            _ => found == wanted,
        })
    }
}

/// Requires a path in the form that list calls take.
pub(super) fn check_path(path: &str) -> Result<(), Fault> {
    let fits = path.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-/".contains(letter));
    if path.starts_with('/') && fits && !path.contains("//") {
        return Ok(());
    }
    Err(validation(format!(
        "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \
         \"/\". It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive): {path}"
    )))
}

/// Tells whether a name is below a path, at any depth or only one.
pub(super) fn is_under(name: &str, path: &str, recursive: bool) -> bool {
    let Some(rest) = name.strip_prefix(path.trim_end_matches('/')) else { return false };
    rest.strip_prefix('/').is_some_and(|rest| !rest.is_empty() && (recursive || !rest.contains('/')))
}

/// Answers `DescribeParameters`.
pub(super) fn describe(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let filters = filters(call)?;
    let mut all: Vec<(String, Parameter)> = tx.list(PARAMETERS)?;
    all.retain(|(_, parameter)| filters.iter().all(|filter| filter.fits(parameter)));
    let (page, token) = page(call, all, 50, 50)?;
    let described: Vec<_> = page.iter().map(metadata).collect::<Result<_, _>>()?;
    Ok(with_token(json!({ "Parameters": described }), token))
}

fn filters(call: &Call) -> Result<Vec<Filter>, Fault> {
    let body = call.json();
    let given = |field: &str| body[field].as_array().is_some_and(|all| !all.is_empty());
    if given("Filters") && given("ParameterFilters") {
        return Err(validation("You can use either Filters or ParameterFilters in a single request."));
    }
    if given("Filters") {
        let mut old = Filter::read(&body["Filters"], &["Name", "Type", "KeyId"])?;
        old.iter_mut()
            .filter(|filter| filter.key == "Name")
            .for_each(|filter| "BeginsWith".clone_into(&mut filter.option));
        return Ok(old);
    }
    Filter::read(&body["ParameterFilters"], &["tag:", "Name", "Type", "KeyId", "Path", "Label", "Tier", "DataType"])
}

fn metadata(parameter: &Parameter) -> Result<Value, Fault> {
    let version = parameter.latest()?;
    let mut data = json!({
        "Name": parameter.name,
        "ARN": parameter.arn,
        "Type": parameter.kind,
        "LastModifiedDate": seconds(version.modified),
        "LastModifiedUser": parameter.arn.split(':').nth(4).map(|account| format!("arn:aws:iam::{account}:root")),
        "Version": version.number,
        "Tier": version.tier,
        "Policies": [],
        "DataType": parameter.data_type,
    });
    let optional =
        [("Description", &version.description), ("AllowedPattern", &version.pattern), ("KeyId", &version.key)];
    for (name, value) in optional {
        if let Some(value) = value {
            data[name] = json!(value);
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;
    use super::*;

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.put("/a/1", "v");
        bench.put("/a/b/2", "v");
        let secure = json!({
            "Name": "three", "Value": "v", "Type": "SecureString", "Description": "d",
            "Tags": [{"Key": "env", "Value": "dev"}],
        });
        bench.ok("PutParameter", &secure);
        bench
    }

    fn names(bench: &Bench, filter: &Value) -> Vec<String> {
        let found = bench.ok("DescribeParameters", &json!({ "ParameterFilters": [filter] }));
        let all = found["Parameters"].as_array().unwrap().clone();
        all.iter().map(|one| one["Name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn filters_choose_parameters() {
        let bench = bench();
        assert_eq!(names(&bench, &json!({"Key": "Name", "Values": ["/a/1"]})), ["/a/1"]);
        assert_eq!(names(&bench, &json!({"Key": "Name", "Option": "BeginsWith", "Values": ["/a"]})).len(), 2);
        assert_eq!(names(&bench, &json!({"Key": "Name", "Option": "Contains", "Values": ["b"]})), ["/a/b/2"]);
        assert_eq!(names(&bench, &json!({"Key": "Path", "Values": ["/a"]})), ["/a/1"]);
        assert_eq!(names(&bench, &json!({"Key": "Path", "Option": "Recursive", "Values": ["/a/"]})).len(), 2);
        assert_eq!(names(&bench, &json!({"Key": "Type", "Values": ["SecureString"]})), ["three"]);
        assert_eq!(names(&bench, &json!({"Key": "KeyId", "Values": ["alias/aws/ssm"]})), ["three"]);
        assert_eq!(names(&bench, &json!({"Key": "tag:env", "Values": ["dev"]})), ["three"]);
        assert!(names(&bench, &json!({"Key": "tag:env", "Values": ["prod"]})).is_empty());
    }

    #[test]
    fn wrong_filters_are_refused() {
        let bench = bench();
        let code = |filter: Value| bench.code("DescribeParameters", &json!({ "ParameterFilters": [filter] }));
        assert_eq!(code(json!({"Key": "Colour", "Values": ["x"]})), "InvalidFilterKey");
        assert_eq!(code(json!({"Key": "Name", "Option": "Like", "Values": ["x"]})), "InvalidFilterOption");
        assert_eq!(code(json!({"Key": "Name", "Values": []})), "InvalidFilterValue");
        assert_eq!(bench.code("DescribeParameters", &json!({"NextToken": "%"})), "InvalidNextToken");
    }

    #[test]
    fn descriptions_have_no_values() {
        let found = bench().ok("DescribeParameters", &json!({"Filters": [{"Key": "Name", "Values": ["thr"]}]}));
        let one = &found["Parameters"][0];
        assert_eq!((&one["Description"], &one["Tier"], &one["Version"]), (&json!("d"), &json!("Standard"), &json!(1)));
        assert!(one.get("Value").is_none());
    }

    #[test]
    fn pages_follow_each_other() {
        let bench = bench();
        let first = bench.ok("DescribeParameters", &json!({"MaxResults": 2}));
        assert_eq!(first["Parameters"].as_array().unwrap().len(), 2);
        let rest = bench.ok("DescribeParameters", &json!({"MaxResults": 2, "NextToken": first["NextToken"]}));
        assert_eq!(rest["Parameters"][0]["Name"], "three");
        assert!(rest.get("NextToken").is_none());
    }
}
