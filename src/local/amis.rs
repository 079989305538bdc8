//! The machine images that the local cloud knows, with the SSM public parameters that name them.
//!
//! One table, so that `resolve:ssm:` names, `GetParameter` and `DescribeImages` never disagree
//! (`facts/aws.md` 12d). The ids are made up except for the Amazon Linux 1 image of the original tutorial;
//! real ids differ by region, these do not.

/// Folder of the public parameters for Amazon Linux images.
pub(crate) const PUBLIC_AMI_PATH: &str = "/aws/service/ami-amazon-linux-latest/";

/// SSM public parameter, image id and image name.
pub(crate) const PUBLIC_AMIS: &[(&str, &str, &str)] = &[
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64",
        "ami-0a2023610000000a1",
        "al2023-ami-2023.9.20251110.1-kernel-6.1-arm64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64",
        "ami-0a2023610000000f1",
        "al2023-ami-2023.9.20251110.1-kernel-6.1-x86_64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
        "ami-0a2023610000000a1",
        "al2023-ami-2023.9.20251110.1-kernel-6.1-arm64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "ami-0a2023610000000f1",
        "al2023-ami-2023.9.20251110.1-kernel-6.1-x86_64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.1-arm64",
        "ami-0a2023610000000b2",
        "al2023-ami-minimal-2023.9.20251110.1-kernel-6.1-arm64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.1-x86_64",
        "ami-0a2023610000000e2",
        "al2023-ami-minimal-2023.9.20251110.1-kernel-6.1-x86_64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-arm64",
        "ami-0a2023610000000b2",
        "al2023-ami-minimal-2023.9.20251110.1-kernel-6.1-arm64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-x86_64",
        "ami-0a2023610000000e2",
        "al2023-ami-minimal-2023.9.20251110.1-kernel-6.1-x86_64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn-ami-hvm-x86_64-gp2",
        "ami-09d069a04349dc3cb",
        "amzn-ami-hvm-2018.03.0.20200904.0-x86_64-gp2",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-arm64-gp2",
        "ami-0a2a51000000000a1",
        "amzn2-ami-hvm-2.0.20251110.1-arm64-gp2",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
        "ami-0a2a51000000000f1",
        "amzn2-ami-hvm-2.0.20251110.1-x86_64-gp2",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-x86_64-gp2",
        "ami-0a2a51000000000e2",
        "amzn2-ami-kernel-5.10-hvm-2.0.20251110.1-x86_64-gp2",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_sorted_unique_and_in_the_public_folder() {
        let names: Vec<_> = PUBLIC_AMIS.iter().map(|(name, _, _)| *name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with(PUBLIC_AMI_PATH)));
    }

    #[test]
    fn ids_are_well_formed_and_name_one_image_each() {
        for (_, id, name) in PUBLIC_AMIS {
            let digits = id.strip_prefix("ami-").unwrap();
            assert!(digits.len() == 17 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
            assert!(PUBLIC_AMIS.iter().all(|(_, other, other_name)| (other == id) == (other_name == name)), "{id}");
        }
    }
}
