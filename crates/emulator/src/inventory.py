# Everything that the tool could leave behind in the account and region, by natural names. Runs with boto3 through
# `Emulator::boto3_with`; `given` has the roles of further accounts whose hosted zones count. Ids that AWS makes anew
# each time are replaced by the names of what they stand for; what has no name of its own is told by its content.
import re

acm, ec2, elb, waf = client("acm"), client("ec2"), client("elbv2"), client("wafv2")
names = {}


def pages(service, operation, key, **parameters):
    found = []
    for page in service.get_paginator(operation).paginate(**parameters):
        found += page[key]
    return found


def tags_of(tags):
    return {tag["Key"]: tag.get("Value", "") for tag in tags or []}


def natural(value):
    """A value with ids replaced by names, without moments, and sorted where order means nothing."""
    if isinstance(value, dict):
        return {key: natural(item) for key, item in value.items() if key not in MOMENTS}
    if isinstance(value, (list, tuple)):
        items = [natural(item) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=str))
    if not isinstance(value, str):
        return value
    for identifier in sorted(names, key=len, reverse=True):
        value = value.replace(identifier, names[identifier])
    # Route 53 gives lower-case names back, with and without the prefix.
    return re.sub(r"(-)\d{10}(\.[\w-]+\.elb\.amazonaws\.com)", r"\1N\2", value)


MOMENTS = ("CreatedTime", "CreatedAt", "AttachTime", "AttachmentId", "LaunchTime")

vpcs = ec2.describe_vpcs()["Vpcs"]
for vpc in vpcs:
    label = tags_of(vpc.get("Tags")).get("Name") or vpc["CidrBlock"]
    names[vpc["VpcId"]] = f"vpc({label})"
for subnet in ec2.describe_subnets()["Subnets"]:
    label = tags_of(subnet.get("Tags")).get("Name") or subnet["CidrBlock"]
    names[subnet["SubnetId"]] = f"subnet({label})"
groups = pages(ec2, "describe_security_groups", "SecurityGroups")
for group in groups:
    names[group["GroupId"]] = f"group({names[group['VpcId']]} {group['GroupName']})"
instances = [
    instance
    for reservation in pages(ec2, "describe_instances", "Reservations")
    for instance in reservation["Instances"]
]
for instance in instances:
    label = tags_of(instance.get("Tags")).get("Name") or instance["InstanceId"]
    names[instance["InstanceId"]] = f"instance({label})"
balancers = pages(elb, "describe_load_balancers", "LoadBalancers")
for balancer in balancers:
    names[balancer["LoadBalancerArn"]] = f"load-balancer({balancer['LoadBalancerName']})"
target_groups = pages(elb, "describe_target_groups", "TargetGroups")
for group in target_groups:
    names[group["TargetGroupArn"]] = f"target-group({group['TargetGroupName']})"
every_key = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]
certificates = [
    acm.describe_certificate(CertificateArn=summary["CertificateArn"])["Certificate"]
    for summary in pages(
        acm, "list_certificates", "CertificateSummaryList", Includes={"keyTypes": every_key}
    )
]
for certificate in certificates:
    names[certificate["CertificateArn"]] = f"certificate({certificate['DomainName']})"
web_acls = waf.list_web_acls(Scope="REGIONAL")["WebACLs"]
for acl in web_acls:
    names[acl["ARN"]] = f"web-acl({acl['Name']})"

elb_tags = {}


def note_tags(arns):
    for start in range(0, len(arns), 20):
        for told in elb.describe_tags(ResourceArns=arns[start : start + 20])["TagDescriptions"]:
            elb_tags[told["ResourceArn"]] = tags_of(told["Tags"])


def attributes(told):
    return {attribute["Key"]: attribute.get("Value", "") for attribute in told["Attributes"]}


def listeners_of(balancer):
    arn = balancer["LoadBalancerArn"]
    found = pages(elb, "describe_listeners", "Listeners", LoadBalancerArn=arn)
    for listener in found:
        listener_arn = listener["ListenerArn"]
        names[listener_arn] = f"listener({balancer['LoadBalancerName']} {listener['Port']})"
        rules = pages(elb, "describe_rules", "Rules", ListenerArn=listener_arn)
        note_tags([listener_arn, *[rule["RuleArn"] for rule in rules if not rule["IsDefault"]]])
        listener["Rules"] = [
            {
                "Priority": rule["Priority"],
                "Conditions": rule.get("Conditions", []),
                "Actions": rule["Actions"],
                "Tags": elb_tags.get(rule["RuleArn"], {}),
            }
            for rule in rules
        ]
        if listener["Protocol"] == "HTTPS":
            told = elb.describe_listener_certificates(ListenerArn=listener_arn)
            listener["Certificates"] = told["Certificates"]
        listener["Attributes"] = attributes(elb.describe_listener_attributes(ListenerArn=listener_arn))
        listener["Tags"] = elb_tags[listener_arn]
    return found


note_tags([balancer["LoadBalancerArn"] for balancer in balancers])
for balancer in balancers:
    arn = balancer["LoadBalancerArn"]
    balancer["Listeners"] = listeners_of(balancer)
    balancer["Attributes"] = attributes(elb.describe_load_balancer_attributes(LoadBalancerArn=arn))
    balancer["Tags"] = elb_tags[arn]
    balancer["WebACL"] = waf.get_web_acl_for_resource(ResourceArn=arn).get("WebACL", {}).get("Name")

note_tags([group["TargetGroupArn"] for group in target_groups])
for group in target_groups:
    arn = group["TargetGroupArn"]
    group["Attributes"] = attributes(elb.describe_target_group_attributes(TargetGroupArn=arn))
    group["Tags"] = elb_tags[arn]
    # A target's health comes and goes; that it is registered stays.
    group["Targets"] = [
        told["Target"]
        for told in elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        if told["TargetHealth"]["State"] != "draining"
    ]

certificate_shapes = [
    {
        "DomainName": certificate["DomainName"],
        "SubjectAlternativeNames": certificate.get("SubjectAlternativeNames", []),
        "KeyAlgorithm": certificate["KeyAlgorithm"],
        "Status": certificate["Status"],
        "InUseBy": certificate.get("InUseBy", []),
        "Tags": tags_of(acm.list_tags_for_certificate(CertificateArn=certificate["CertificateArn"])["Tags"]),
    }
    for certificate in certificates
]

RULE = (
    "IsEgress", "IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupInfo",
    "Description",
)
group_shapes = {group["GroupId"]: {**group, "Rules": []} for group in groups}
for rule in pages(ec2, "describe_security_group_rules", "SecurityGroupRules"):
    shape = {name: rule[name] for name in RULE if name in rule}
    group_shapes[rule["GroupId"]]["Rules"].append({**shape, "Tags": tags_of(rule.get("Tags"))})
for group in group_shapes.values():
    for name in ("IpPermissions", "IpPermissionsEgress", "GroupId", "SecurityGroupArn"):
        group.pop(name, None)
    group["Tags"] = tags_of(group.get("Tags"))

interfaces = [
    {
        "Description": interface.get("Description", ""),
        "Status": interface["Status"],
        "Subnet": interface["SubnetId"],
        "Groups": [group["GroupId"] for group in interface["Groups"]],
        "Instance": (interface.get("Attachment") or {}).get("InstanceId"),
        "RequesterId": interface.get("RequesterId"),
    }
    for interface in pages(ec2, "describe_network_interfaces", "NetworkInterfaces")
]
for interface in interfaces:
    # The last part is the load balancer's id.
    interface["Description"] = re.sub(r"^(ELB app/[^/]+)/.*", r"\1", interface["Description"])

zones = []
for arn in [None, *given["roles"]]:
    route53 = client("route53", **role(arn))
    for zone in pages(route53, "list_hosted_zones", "HostedZones"):
        names[zone["Id"].rsplit("/", 1)[-1]] = f"zone({zone['Name']})"
        records = pages(
            route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"]
        )
        zones.append({"Name": zone["Name"], "Private": zone["Config"]["PrivateZone"], "Records": records})

show(
    natural(
        {
            "load_balancers": balancers,
            "target_groups": target_groups,
            "certificates": certificate_shapes,
            "security_groups": list(group_shapes.values()),
            "network_interfaces": interfaces,
            "instances": [
                {
                    "Name": instance["InstanceId"],
                    "State": instance["State"]["Name"],
                    "Groups": [group["GroupId"] for group in instance["SecurityGroups"]],
                    "Tags": tags_of(instance.get("Tags")),
                }
                for instance in instances
            ],
            "zones": zones,
            "web_acls": [
                {
                    "Name": acl["Name"],
                    "Resources": waf.list_resources_for_web_acl(WebACLArn=acl["ARN"])["ResourceArns"],
                }
                for acl in web_acls
            ],
        }
    )
)
