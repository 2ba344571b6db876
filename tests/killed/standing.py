# The ids of everything in AWS that can be a stack's, by kind, in the forms that the state file has for them. `given` is
# what stood there before: security groups, their rules, and the zone in which sites have records.
elb, ec2, acm, waf, route53 = (client(name) for name in ("elbv2", "ec2", "acm", "wafv2", "route53"))
standing = {}


def note(kind, *ids):
    standing.setdefault(kind, []).extend(ids)


def pages(service, operation, key, **parameters):
    return [item for page in service.get_paginator(operation).paginate(**parameters) for item in page[key]]


every_key = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]
for summary in pages(acm, "list_certificates", "CertificateSummaryList", Includes={"keyTypes": every_key}):
    note("certificate", summary["CertificateArn"])
for group in pages(ec2, "describe_security_groups", "SecurityGroups"):
    if group["GroupId"] not in given["groups"]:
        note("security_group", group["GroupId"])
for rule in pages(ec2, "describe_security_group_rules", "SecurityGroupRules"):
    # World-open rules of the instances' groups go and come back under new ids.
    source = rule.get("ReferencedGroupInfo", {}).get("GroupId")
    if rule["GroupId"] in given["groups"] and source and source not in given["groups"]:
        note("instance_ingress", rule["SecurityGroupRuleId"])
for group in pages(elb, "describe_target_groups", "TargetGroups"):
    arn = group["TargetGroupArn"]
    note("target_group", arn)
    for told in elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
        if told["TargetHealth"]["State"] != "draining":
            note("target", "%s/%s:%s" % (arn, told["Target"]["Id"], told["Target"]["Port"]))
for balancer in pages(elb, "describe_load_balancers", "LoadBalancers"):
    arn = balancer["LoadBalancerArn"]
    note("load_balancer", arn)
    if waf.get_web_acl_for_resource(ResourceArn=arn).get("WebACL"):
        note("web_acl_association", arn)
    for listener in pages(elb, "describe_listeners", "Listeners", LoadBalancerArn=arn):
        listener_arn = listener["ListenerArn"]
        note("listener", listener_arn)
        for rule in pages(elb, "describe_rules", "Rules", ListenerArn=listener_arn):
            if not rule["IsDefault"]:
                note("listener_rule", rule["RuleArn"])
        if listener["Protocol"] == "HTTPS":
            for one in elb.describe_listener_certificates(ListenerArn=listener_arn)["Certificates"]:
                if not one["IsDefault"]:
                    note("listener_certificate", "%s#%s" % (listener_arn, one["CertificateArn"]))
for record in pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=given["zone"]):
    name = record["Name"].rstrip(".")
    if record["Type"] == "CNAME" and "acm-validations" in record["ResourceRecords"][0]["Value"]:
        note("validation_record", "%s/%s/CNAME" % (given["zone"], name))
    if "AliasTarget" in record:
        note("alias_record", "%s/%s" % (given["zone"], name))
show({kind: sorted(ids) for kind, ids in standing.items()})
