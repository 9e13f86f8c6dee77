"""Scaling of the workers by the backlog of jobs, down to zero."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.observability.alarms import MINUTE
from infra.constructs.tasks.cluster import Names, task_metric
from infra.settings.sections import Inference

# AWS's metrics arrive late; until then the last value counts. Zero must never stand for a missing
# number of messages: a gap in SQS's metrics would look like no work and stop every worker.
MESSAGES = "FILL(visible, REPEAT) + FILL(in_flight, REPEAT)"
# Nothing is reported while no task runs, so a value that stays missing means zero.
TASKS = "FILL(FILL(running, REPEAT), 0)"
# With no task running, the first one is being started by the submitter or by `UNSERVED`. So the
# backlog counts as if one ran: otherwise each wait for the first would order a second.
BACKLOG = "messages / IF(tasks > 0, tasks, 1)"
UNSERVED = "IF(tasks > 0, 0, messages)"

METRICS_LATENESS = Duration.minutes(4)


class BacklogScaling(Construct):
    """Scales a service by (visible + in flight) / running tasks.

    Parameters
    ----------
    names : Names
        Names of the ECS cluster and service.
    queue : sqs.IQueue
        The queue of the jobs.
    inference : Inference
        Bounds and targets of the worker service.
    start : Duration
        Time from the order of a task to a running one. Until the metrics show it, they ask for
        tasks that are ordered already, so each further step waits that long.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        queue: sqs.IQueue,
        inference: Inference,
        start: Duration,
    ) -> None:
        super().__init__(scope, id)
        self._inputs = {
            "visible": queue.metric_approximate_number_of_messages_visible(
                period=MINUTE, statistic="Maximum"
            ),
            "in_flight": queue.metric_approximate_number_of_messages_not_visible(
                period=MINUTE, statistic="Maximum"
            ),
            "running": task_metric("RunningTaskCount", names=names),
        }
        self._target = autoscaling.ScalableTarget(
            self,
            "Target",
            service_namespace=autoscaling.ServiceNamespace.ECS,
            resource_id=f"service/{names.cluster}/{names.service}",
            scalable_dimension="ecs:service:DesiredCount",
            min_capacity=inference.min_tasks,
            max_capacity=inference.max_tasks,
            role=_service_linked_role(self),
        )
        self._seen = start.plus(METRICS_LATENESS)
        self._track(inference.backlog_per_task)
        self._start_first_task()

    def unserved(self) -> cloudwatch.MathExpression:
        """Return the number of jobs that wait while no task runs."""
        return self._expression(UNSERVED, "jobs that no worker serves")

    def _track(self, backlog_per_task: float) -> None:
        policy = autoscaling.CfnScalingPolicy
        policy(
            self,
            "Backlog",
            policy_name="backlog",
            policy_type="TargetTrackingScaling",
            scaling_target_id=self._target.scalable_target_id,
            target_tracking_scaling_policy_configuration=(
                policy.TargetTrackingScalingPolicyConfigurationProperty(
                    target_value=backlog_per_task,
                    scale_out_cooldown=self._seen.to_seconds(),
                    # Longer than for scale-out: to restart a worker costs minutes of waiting, to
                    # keep one costs a few minutes of its price.
                    scale_in_cooldown=2 * self._seen.to_seconds(),
                    customized_metric_specification=(
                        policy.CustomizedMetricSpecificationProperty(metrics=self._queries())
                    ),
                )
            ),
        )

    def _queries(self) -> list[autoscaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty]:
        query = autoscaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty
        expressions = {"messages": MESSAGES, "tasks": TASKS, "backlog": BACKLOG}
        return [
            *(
                query(id=name, metric_stat=_metric_stat(metric), return_data=False)
                for name, metric in self._inputs.items()
            ),
            *(
                query(id=name, expression=expression, return_data=name == "backlog")
                for name, expression in expressions.items()
            ),
        ]

    def _start_first_task(self) -> None:
        """Start the first task where jobs wait and the submitter failed to start one."""
        step = autoscaling.StepScalingAction(
            self,
            "Wake",
            scaling_target=self._target,
            policy_name="wake",
            adjustment_type=autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
            cooldown=self._seen,
        )
        step.add_adjustment(adjustment=1, lower_bound=0)
        alarm = cloudwatch.Alarm(
            self,
            "Unserved",
            metric=self.unserved(),
            alarm_description="Jobs wait and no worker runs: starts one.",
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold=0,
            # By then the metrics show a task that the submitter has started.
            evaluation_periods=int(self._seen.to_minutes()),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.ApplicationScalingAction(step))

    def _expression(self, expression: str, label: str) -> cloudwatch.MathExpression:
        def inner(text: str, *inputs: str) -> cloudwatch.MathExpression:
            return cloudwatch.MathExpression(
                expression=text,
                period=MINUTE,
                using_metrics={name: self._inputs[name] for name in inputs},
            )

        return cloudwatch.MathExpression(
            expression=expression,
            label=label,
            period=MINUTE,
            using_metrics={
                "messages": inner(MESSAGES, "visible", "in_flight"),
                "tasks": inner(TASKS, "running"),
            },
        )


def _metric_stat(
    metric: cloudwatch.Metric,
) -> autoscaling.CfnScalingPolicy.TargetTrackingMetricStatProperty:
    policy = autoscaling.CfnScalingPolicy
    return policy.TargetTrackingMetricStatProperty(
        stat=metric.statistic,
        metric=policy.TargetTrackingMetricProperty(
            namespace=metric.namespace,
            metric_name=metric.metric_name,
            dimensions=[
                policy.TargetTrackingMetricDimensionProperty(name=name, value=value)
                for name, value in sorted((metric.dimensions or {}).items())
            ],
        ),
    )


def _service_linked_role(scope: Construct) -> iam.IRole:
    """Return the service-linked role that Application Auto Scaling uses for ECS."""
    arn = Stack.of(scope).format_arn(
        service="iam",
        region="",
        resource="role/aws-service-role/ecs.application-autoscaling.amazonaws.com",
        resource_name="AWSServiceRoleForApplicationAutoScaling_ECSService",
    )
    return iam.Role.from_role_arn(scope, "Role", arn)
