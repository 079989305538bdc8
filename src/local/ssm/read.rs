//! Reading the values of parameters.

use serde_json::{Value, json};

use crate::local::{Call, Fault, Tx};

use super::describe::{Filter, check_path, is_under};
use super::{
    PARAMETERS, Parameter, find, flag, not_found, page, public, required, seconds, texts, validation, with_token,
};

/// Answers `GetParameter`.
pub(super) fn get(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let name = required(call, "Name")?;
    let value = shown(tx, call, name)?;
    Ok(json!({ "Parameter": value }))
}

/// Returns a parameter by name, ARN, or either with `:version`.
fn shown(tx: &Tx<'_>, call: &Call, name: &str) -> Result<Value, Fault> {
    let decrypted = flag(call, "WithDecryption");
    if let Some(parameter) = find(tx, call, name)? {
        return Ok(parameter.shown(parameter.latest()?, decrypted));
    }
    let Some((base, selector)) = name.rsplit_once(':') else { return Err(not_found(name)) };
    let parameter = find(tx, call, base)?.ok_or_else(|| not_found(name))?;
    let wanted = selector.parse::<i64>().ok();
    let version = parameter.versions.iter().find(|version| Some(version.number) == wanted).ok_or_else(|| {
        let text =
            format!("Systems Manager could not find version {selector} of {base}. Verify the version and try again.");
        Fault::new("ParameterVersionNotFound", text)
    })?;
    let mut value = parameter.shown(version, decrypted);
    value["Selector"] = json!(format!(":{selector}"));
    Ok(value)
}

/// Answers `GetParameters`: what is missing is listed, not an error.
pub(super) fn get_many(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let names = texts(&call.json()["Names"]);
    if !(1..=10).contains(&names.len()) {
        return Err(validation(
            "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length less \
             than or equal to 10",
        ));
    }
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names {
        match shown(tx, call, &name) {
            Ok(value) => found.push(value),
            Err(fault) if fault.code.starts_with("Parameter") => invalid.push(name),
            Err(fault) => return Err(fault),
        }
    }
    Ok(json!({"Parameters": found, "InvalidParameters": invalid}))
}

/// Answers `GetParametersByPath`.
pub(super) fn get_by_path(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let path = required(call, "Path")?;
    check_path(path)?;
    let filters = Filter::read(&call.json()["ParameterFilters"], &["Type", "KeyId", "Label"])?;
    let recursive = flag(call, "Recursive");
    let mut all: Vec<(String, Parameter)> = if path == "/aws" || path.starts_with("/aws/") {
        public(call).map(|parameter| (parameter.name.clone(), parameter)).collect()
    } else {
        tx.list(PARAMETERS)?
    };
    all.retain(|(name, parameter)| {
        is_under(name, path, recursive) && filters.iter().all(|filter| filter.fits(parameter))
    });
    let (page, token) = page(call, all, 10, 10)?;
    let decrypted = flag(call, "WithDecryption");
    let values: Vec<_> = page
        .iter()
        .map(|parameter| Ok(parameter.shown(parameter.latest()?, decrypted)))
        .collect::<Result<_, Fault>>()?;
    Ok(with_token(json!({ "Parameters": values }), token))
}

/// Answers `GetParameterHistory`.
pub(super) fn history(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let name = required(call, "Name")?;
    let parameter = find(tx, call, name)?.ok_or_else(|| not_found(name))?;
    let decrypted = flag(call, "WithDecryption");
    let versions = parameter.versions.iter().map(|version| {
        let mut value = parameter.shown(version, decrypted);
        value["Tier"] = json!(version.tier);
        value["LastModifiedDate"] = seconds(version.modified);
        value["Description"] = json!(version.description.as_deref().unwrap_or_default());
        (format!("{:010}", version.number), value)
    });
    let (values, token) = page(call, versions.collect(), 50, 50)?;
    Ok(with_token(json!({ "Parameters": values }), token))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;

    const IMAGE: &str = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

    #[test]
    fn secure_values_are_hidden_without_decryption() {
        let bench = Bench::new();
        bench.ok("PutParameter", &json!({"Name": "/t", "Value": "secret", "Type": "SecureString"}));
        let value = |body| bench.ok("GetParameter", &body)["Parameter"]["Value"].as_str().unwrap().to_owned();
        assert_eq!(value(json!({"Name": "/t", "WithDecryption": true})), "secret");
        let hidden = value(json!({"Name": "/t"}));
        assert!(hidden.starts_with("AQICAH") && !hidden.contains("secret"), "{hidden}");
    }

    #[test]
    fn values_are_read_by_name_arn_and_version() {
        let bench = Bench::new();
        bench.put("/a/p", "1");
        bench.ok("PutParameter", &json!({"Name": "/a/p", "Value": "2", "Overwrite": true}));
        let value = |name: &str| bench.ok("GetParameter", &json!({"Name": name}))["Parameter"]["Value"].clone();
        assert_eq!(value("/a/p"), "2");
        assert_eq!(value("/a/p:1"), "1");
        assert_eq!(value("arn:aws:ssm:us-east-1:000000000000:parameter/a/p"), "2");
        assert_eq!(bench.code("GetParameter", &json!({"Name": "/a/p:9"})), "ParameterVersionNotFound");
        assert_eq!(bench.code("GetParameter", &json!({"Name": "/none"})), "ParameterNotFound");
        assert_eq!(bench.code("GetParameter", &json!({})), "ValidationException");
        let past = bench.ok("GetParameterHistory", &json!({"Name": "/a/p"}));
        assert_eq!(past["Parameters"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn missing_ones_of_many_are_listed() {
        let bench = Bench::new();
        bench.put("p", "1");
        let many = bench.ok("GetParameters", &json!({"Names": ["p", "q", IMAGE]}));
        assert_eq!(many["Parameters"].as_array().unwrap().len(), 2);
        assert_eq!(many["InvalidParameters"], json!(["q"]));
        let names: Vec<_> = (0..11).map(|number| format!("n{number}")).collect();
        assert_eq!(bench.code("GetParameters", &json!({"Names": names})), "ValidationException");
    }

    #[test]
    fn public_image_parameters_are_there() {
        let bench = Bench::new();
        let image = bench.ok("GetParameter", &json!({"Name": IMAGE}))["Parameter"].clone();
        assert!(image["Value"].as_str().unwrap().starts_with("ami-"));
        assert_eq!(image["ARN"], format!("arn:aws:ssm:us-east-1::parameter{IMAGE}"));
        let unknown = json!({"Name": "/aws/service/ami-amazon-linux-latest/none"});
        assert_eq!(bench.code("GetParameter", &unknown), "ParameterNotFound");
        let folder = bench.ok("GetParametersByPath", &json!({"Path": "/aws/service/ami-amazon-linux-latest"}));
        assert_eq!(folder["Parameters"].as_array().unwrap().len(), 10);
        assert!(folder["NextToken"].is_string());
    }

    #[test]
    fn folders_are_read_one_level_or_all() {
        let bench = Bench::new();
        for name in ["/a/1", "/a/b/2", "/ab/3"] {
            bench.put(name, "v");
        }
        let names = |recursive: bool| {
            let found = bench.ok("GetParametersByPath", &json!({"Path": "/a", "Recursive": recursive}));
            found["Parameters"].as_array().unwrap().iter().map(|one| one["Name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["/a/1"]);
        assert_eq!(names(true), ["/a/1", "/a/b/2"]);
        assert_eq!(bench.code("GetParametersByPath", &json!({"Path": "a"})), "ValidationException");
        assert_eq!(bench.code("GetParametersByPath", &json!({"Path": "/a", "MaxResults": 11})), "ValidationException");
    }
}
