# The world before the move: sites on instances of their own, in a VPC like most. Runs with boto3 through
# `Emulator::boto3_with`; `given` is the seed's options.
import ipaddress

ec2 = client("ec2")
route53 = client("route53", **role(given["zone_role"]))


def named(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]][:2]
made = ec2.create_vpc(
    CidrBlock="10.20.0.0/16",
    AmazonProvidedIpv6CidrBlock=given["ipv6"],
    TagSpecifications=named("vpc", "main"),
)["Vpc"]
vpc = made["VpcId"]
if given["ipv6"]:
    [made] = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    block = made["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    ipv6_subnets = ipaddress.ip_network(block).subnets(new_prefix=64)
ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
gateway = ec2.create_internet_gateway(TagSpecifications=named("internet-gateway", "main"))
gateway = gateway["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)


def subnet(name, block, zone):
    made = ec2.create_subnet(
        VpcId=vpc,
        CidrBlock=block,
        AvailabilityZone=zone,
        TagSpecifications=named("subnet", name),
        **({"Ipv6CidrBlock": str(next(ipv6_subnets))} if given["ipv6"] else {}),
    )
    return {"id": made["Subnet"]["SubnetId"], "zone": zone}


def route_table(name, subnets):
    made = ec2.create_route_table(VpcId=vpc, TagSpecifications=named("route-table", name))
    table = made["RouteTable"]["RouteTableId"]
    for one in subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=one["id"])
    return table


public = [
    subnet(f"public-{index + 1}", f"10.20.{index}.0/24", zone) for index, zone in enumerate(zones)
]
private = subnet("private-1", "10.20.128.0/24", zones[0])
table = route_table("public", public)
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
if given["ipv6"]:
    ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", GatewayId=gateway)
route_table("private", [private])


def instances_of(site):
    """The instances of a site, with a security group of their own."""
    group = ec2.create_security_group(
        GroupName=site["group_name"],
        Description="Web server",
        VpcId=vpc,
        TagSpecifications=named("security-group", site["group_name"]),
    )["GroupId"]
    world = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    if given["ipv6"]:
        world["Ipv6Ranges"] = [{"CidrIpv6": "::/0"}]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **world}
            for port in site["open_ports"]
        ],
    )
    instances = []
    for index, address in enumerate(site["addresses"]):
        made = ec2.run_instances(
            ImageId="ami-12c6146b",
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=public[index % 2]["id"],
            SecurityGroupIds=[group],
            TagSpecifications=named("instance", f"{site['group_name']}-{index + 1}"),
            **({"Ipv6AddressCount": 1} if given["ipv6"] else {}),
        )["Instances"][0]
        addresses = made["NetworkInterfaces"][0].get("Ipv6Addresses", [])
        instances.append(
            {
                "id": made["InstanceId"],
                "private": made["PrivateIpAddress"],
                "public": address,
                "ipv6": addresses[0]["Ipv6Address"] if addresses else None,
            }
        )
    return {"security_group": group, "instances": instances}


def record(name, kind, ttl, *values):
    return {
        "Action": "CREATE",
        "ResourceRecordSet": {
            "Name": name,
            "Type": kind,
            "TTL": ttl,
            "ResourceRecords": [{"Value": value} for value in values],
        },
    }


hosted = {}


def zone_of(name):
    """The hosted zone of a name, made when it is first asked for."""
    if name not in hosted:
        made = route53.create_hosted_zone(Name=name, CallerReference="seed-" + name)
        hosted[name] = made["HostedZone"]["Id"].rsplit("/", 1)[-1]
        change(
            hosted[name],
            record(name, "MX", 3600, "10 mail." + name + "."),
            record(name, "TXT", 3600, '"v=spf1 mx -all"'),
        )
    return hosted[name]


def change(zone, *changes):
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": list(changes)})


sites = []
for site in given["sites"]:
    zone = zone_of(site["zone"])
    change(zone, record(site["domain"], "A", site["ttl"], *site["addresses"]))
    sites.append({"domain": site["domain"], "zone": zone, **instances_of(site)})

show(
    {
        "vpc": vpc,
        "internet_gateway": gateway,
        "public_subnets": public,
        "private_subnet": private,
        "sites": sites,
    }
)
