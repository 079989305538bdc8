//! Instance types and their prices: a small table of what small stacks use.

use serde_json::json;

use super::super::{Call, Outcome, Xml};
use super::query::{Listing, describe};
use super::{Row, answer, network, time};

/// One instance type.
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) vcpus: u32,
    pub(super) threads: u32,
    mebibytes: u32,
    pub(super) architecture: &'static str,
    /// Hourly price on demand in units of 0.0001 USD.
    price: u32,
}

impl Type {
    /// Tells whether the type has CPU credits.
    pub(super) fn is_burstable(&self) -> bool {
        self.name.starts_with('t')
    }

    /// Tells whether the type is of the Nitro generation.
    pub(super) fn is_nitro(&self) -> bool {
        !self.name.starts_with("t2") && !self.name.starts_with("m1") && !self.name.starts_with("m4")
    }

    /// Returns the current spot price in USD, which stands still at three tenths of the price on demand.
    pub(super) fn spot_price(&self) -> f64 {
        f64::from(self.price * 3) / 100_000.0
    }
}

const fn of(
    name: &'static str,
    vcpus: u32,
    threads: u32,
    mebibytes: u32,
    architecture: &'static str,
    price: u32,
) -> Type {
    Type { name, vcpus, threads, mebibytes, architecture, price }
}

const INTEL: &str = "x86_64";
const ARM: &str = "arm64";

static TYPES: &[Type] = &[
    of("m1.small", 1, 1, 1740, INTEL, 440),
    of("t2.nano", 1, 1, 512, INTEL, 58),
    of("t2.micro", 1, 1, 1024, INTEL, 116),
    of("t2.small", 1, 1, 2048, INTEL, 230),
    of("t2.medium", 2, 1, 4096, INTEL, 464),
    of("t2.large", 2, 1, 8192, INTEL, 928),
    of("t3.nano", 2, 2, 512, INTEL, 52),
    of("t3.micro", 2, 2, 1024, INTEL, 104),
    of("t3.small", 2, 2, 2048, INTEL, 208),
    of("t3.medium", 2, 2, 4096, INTEL, 416),
    of("t3.large", 2, 2, 8192, INTEL, 832),
    of("t3a.micro", 2, 2, 1024, INTEL, 94),
    of("t3a.small", 2, 2, 2048, INTEL, 188),
    of("t4g.nano", 2, 1, 512, ARM, 42),
    of("t4g.micro", 2, 1, 1024, ARM, 84),
    of("t4g.small", 2, 1, 2048, ARM, 168),
    of("t4g.medium", 2, 1, 4096, ARM, 336),
    of("m4.large", 2, 2, 8192, INTEL, 1000),
    of("m5.large", 2, 2, 8192, INTEL, 960),
    of("m5.xlarge", 4, 2, 16384, INTEL, 1920),
    of("m6i.large", 2, 2, 8192, INTEL, 960),
    of("m6g.medium", 1, 1, 4096, ARM, 385),
    of("m6g.large", 2, 1, 8192, ARM, 770),
    of("m7g.medium", 1, 1, 4096, ARM, 408),
    of("c5.large", 2, 2, 4096, INTEL, 850),
    of("c6g.medium", 1, 1, 2048, ARM, 340),
    of("c6i.large", 2, 2, 4096, INTEL, 850),
    of("r5.large", 2, 2, 16384, INTEL, 1260),
];

/// Finds an instance type by its name.
pub(super) fn find(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|known| known.name == name)
}

fn type_row(call: &Call, known: &Type) -> Row {
    let nitro = known.is_nitro();
    let view = json!({
        "instanceType": known.name, "currentGeneration": !matches!(known.name.split('.').next(), Some("m1" | "m4")),
        "freeTierEligible": matches!(known.name, "t2.micro" | "t3.micro" | "t4g.small"), "bareMetal": false,
        "hypervisor": if nitro { "nitro" } else { "xen" },
        "vCpuInfo": {
            "defaultVCpus": known.vcpus, "defaultCores": known.vcpus / known.threads, "defaultThreadsPerCore": known.threads,
        },
        "memoryInfo": { "sizeInMiB": known.mebibytes }, "instanceStorageSupported": false,
        "ebsInfo": {
            "ebsOptimizedSupport": if nitro { "default" } else { "unsupported" }, "encryptionSupport": "supported",
            "nvmeSupport": if nitro { "required" } else { "unsupported" },
        },
        "networkInfo": {
            "maximumNetworkInterfaces": 2, "maximumNetworkCards": 1, "defaultNetworkCardIndex": 0,
            "ipv4AddressesPerInterface": 2, "ipv6AddressesPerInterface": 2, "ipv6Supported": true,
            "enaSupport": if nitro { "required" } else { "unsupported" }, "efaSupported": false,
        },
        "placementGroupInfo": {}, "hibernationSupported": false, "burstablePerformanceSupported": known.is_burstable(),
        "dedicatedHostsSupported": nitro, "autoRecoverySupported": true,
    });
    Row::new(call, "", view)
}

/// `DescribeInstanceTypes`.
pub(super) fn describe_types(call: &Call) -> Outcome {
    let listing = Listing {
        set: "instanceTypeSet",
        ids: "InstanceType",
        key: "instanceType",
        filters: &[
            ("instance-type", "instanceType"),
            ("current-generation", "currentGeneration"),
            ("free-tier-eligible", "freeTierEligible"),
            ("burstable-performance-supported", "burstablePerformanceSupported"),
            ("processor-info.supported-architecture", "!architecture"),
            ("hypervisor", "hypervisor"),
        ],
        not_found: "InvalidInstanceType",
        malformed: "",
    };
    let all = TYPES.iter().map(|known| {
        let mut row = type_row(call, known);
        row.hide("architecture", known.architecture);
        row
    });
    let chosen = super::query::select(call, all.collect(), &listing)?;
    let (page, next) = super::query::page(call, chosen, listing.key)?;
    let items = page.iter().map(|row| {
        let texts = |name: &str, values: &[&str]| Xml::new().texts(name, "item", values);
        super::members(&row.view)
            .and(texts("supportedUsageClasses", &["on-demand", "spot"]))
            .and(texts("supportedRootDeviceTypes", &["ebs"]))
            .and(texts("supportedVirtualizationTypes", &["hvm"]))
            .and(texts("supportedBootModes", &["legacy-bios", "uefi"]))
            .node("processorInfo", texts("supportedArchitectures", &[row.secret("architecture")]))
    });
    answer(Xml::new().list(listing.set, "item", items).maybe("nextToken", next))
}

/// Gives a row the text that pages are ordered by.
fn sorted(mut row: Row, by: &str) -> Row {
    row.hide("sort", by);
    row
}

/// `DescribeInstanceTypeOfferings`: every type is offered everywhere.
pub(super) fn offerings(call: &Call) -> Outcome {
    let kind = call.params().get("LocationType").unwrap_or("region");
    let places = if kind == "availability-zone" { network::zone_names(call) } else { vec![call.region.clone()] };
    let all = TYPES.iter().flat_map(|known| {
        places.iter().map(move |place| {
            let view = json!({ "instanceType": known.name, "locationType": kind, "location": place });
            sorted(Row::new(call, "", view), &format!("{}/{place}", known.name))
        })
    });
    let listing = Listing {
        set: "instanceTypeOfferingSet",
        ids: "",
        key: "!sort",
        filters: &[("instance-type", "instanceType"), ("location", "location")],
        not_found: "",
        malformed: "",
    };
    describe(call, all.collect(), &listing)
}

/// `DescribeSpotPriceHistory`: one price per type and zone, which never changes.
pub(super) fn spot_prices(call: &Call) -> Outcome {
    let asked = call.params().texts("InstanceType");
    let products = call.params().texts("ProductDescription");
    let linux = products.is_empty() || products.iter().any(|name| name.starts_with("Linux/UNIX"));
    let zones = network::zone_names(call);
    let wanted =
        TYPES.iter().filter(|known| linux && (asked.is_empty() || asked.iter().any(|name| name == known.name)));
    let all = wanted.flat_map(|known| {
        zones.iter().map(move |zone| {
            let view = json!({
                "instanceType": known.name, "productDescription": "Linux/UNIX", "availabilityZone": zone,
                "spotPrice": format!("{:.6}", known.spot_price()), "timestamp": time(call.now),
            });
            sorted(Row::new(call, "", view), &format!("{}/{zone}", known.name))
        })
    });
    let listing = Listing {
        set: "spotPriceHistorySet",
        ids: "",
        key: "!sort",
        filters: &[
            ("instance-type", "instanceType"),
            ("availability-zone", "availabilityZone"),
            ("product-description", "productDescription"),
            ("spot-price", "spotPrice"),
        ],
        not_found: "",
        malformed: "",
    };
    describe(call, all.collect(), &listing)
}
