"""The strict rules, one module per subject. Importing them registers them.

Each rule is a small function whose docstring names the fact that it enforces.
"""

from . import (  # noqa: F401
    acm,
    ec2_groups,
    ec2_instances,
    ec2_subnets,
    elbv2_attributes,
    elbv2_certificates,
    elbv2_interfaces,
    elbv2_listener_attributes,
    elbv2_listeners,
    elbv2_load_balancers,
    elbv2_rules,
    elbv2_target_groups,
    elbv2_targets,
    route53,
    route53_changes,
    s3,
    wafv2,
)
