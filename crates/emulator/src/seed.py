# The world before the move: one site on instances of their own, in a VPC like most. Runs with boto3 through
# `Emulator::boto3_with`; `given` is the seed's options.
ec2 = client("ec2")
route53 = client("route53")


def named(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]][:2]
vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16", TagSpecifications=named("vpc", "main"))["Vpc"]["VpcId"]
ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
gateway = ec2.create_internet_gateway(TagSpecifications=named("internet-gateway", "main"))
gateway = gateway["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)


def subnet(name, block, zone):
    made = ec2.create_subnet(
        VpcId=vpc, CidrBlock=block, AvailabilityZone=zone, TagSpecifications=named("subnet", name)
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
route_table("private", [private])

group = ec2.create_security_group(
    GroupName=given["group_name"],
    Description="Web server",
    VpcId=vpc,
    TagSpecifications=named("security-group", given["group_name"]),
)["GroupId"]
ec2.authorize_security_group_ingress(
    GroupId=group,
    IpPermissions=[
        {
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        }
        for port in given["open_ports"]
    ],
)

instances = []
for index, address in enumerate(given["addresses"]):
    made = ec2.run_instances(
        ImageId="ami-12c6146b",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=public[index % 2]["id"],
        SecurityGroupIds=[group],
        TagSpecifications=named("instance", f"web-{index + 1}"),
    )["Instances"][0]
    instances.append(
        {"id": made["InstanceId"], "private": made["PrivateIpAddress"], "public": address}
    )

zone = route53.create_hosted_zone(Name=given["zone"], CallerReference="seed-" + given["zone"])
zone = zone["HostedZone"]["Id"].rsplit("/", 1)[-1]


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


route53.change_resource_record_sets(
    HostedZoneId=zone,
    ChangeBatch={
        "Changes": [
            record(given["domain"], "A", given["ttl"], *given["addresses"]),
            record(given["zone"], "MX", 3600, "10 mail." + given["zone"] + "."),
            record(given["zone"], "TXT", 3600, '"v=spf1 mx -all"'),
        ]
    },
)

show(
    {
        "vpc": vpc,
        "internet_gateway": gateway,
        "public_subnets": public,
        "private_subnet": private,
        "security_group": group,
        "instances": instances,
        "zone": zone,
    }
)
