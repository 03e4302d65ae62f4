package ecs

import "skein/agent/ecs/strictjson"

// Reasons that several rows share.
const (
	oneFleet     = "an agent knows one cluster, its own fleet"
	withPools    = "comes with host pools; leave it out for now"
	withTraffic  = "comes with the built-in ingress; leave it out for now"
	noStrategies = "tasks are always spread over zones, then hosts; constraints come with the whole task model"
	onlyAWS      = "it has a meaning on AWS only"
	withExec     = "comes with exec into containers; leave it out for now"
	noRole       = "the agents call hooks and change rules themselves, and need no role"
	noVPC        = "tasks are reached through ports of their hosts, which ingress finds; there are no subnets"
)

// serviceTable is every field of CreateService and UpdateService, and Skein's
// own onDisconnect. Source: ECS API, CreateService.
var serviceTable = table("service", []row{
	{"serviceName", used, ""},
	{"service", used, ""}, // UpdateService's name for serviceName
	{"taskDefinition", used, ""},
	{"desiredCount", used, ""},
	{"clientToken", used, ""},
	{"forceNewDeployment", used, ""},
	{"healthCheckGracePeriodSeconds", used, ""},
	{"schedulingStrategy", used, ""},
	{"deploymentController", used, ""},
	{"deploymentController.type", used, ""},
	{"deploymentConfiguration", used, ""},
	{"deploymentConfiguration.strategy", used, ""},
	{"deploymentConfiguration.minimumHealthyPercent", used, ""},
	{"deploymentConfiguration.maximumPercent", used, ""},
	{"deploymentConfiguration.deploymentCircuitBreaker", used, ""},
	{"deploymentConfiguration.deploymentCircuitBreaker.enable", used, ""},
	{"deploymentConfiguration.deploymentCircuitBreaker.rollback", used, ""},
	{"deploymentConfiguration.deploymentCircuitBreaker.resetOnHealthyTask", used, ""},
	{"deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration", used, ""},
	{"deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration.type", used, ""},
	{"deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration.value", used, ""},
	{"deploymentConfiguration.alarms", used, ""},
	{"deploymentConfiguration.alarms.alarmNames", used, ""},
	{"deploymentConfiguration.alarms.enable", used, ""},
	{"deploymentConfiguration.alarms.rollback", used, ""},
	{"deploymentConfiguration.bakeTimeInMinutes", used, ""},
	{"deploymentConfiguration.canaryConfiguration", used, ""},
	{"deploymentConfiguration.canaryConfiguration.canaryPercent", used, ""},
	{"deploymentConfiguration.canaryConfiguration.canaryBakeTimeInMinutes", used, ""},
	{"deploymentConfiguration.linearConfiguration", used, ""},
	{"deploymentConfiguration.linearConfiguration.stepPercent", used, ""},
	{"deploymentConfiguration.linearConfiguration.stepBakeTimeInMinutes", used, ""},
	{"deploymentConfiguration.earlySuccessCriteria", used, ""},
	{"deploymentConfiguration.earlySuccessCriteria.enable", used, ""},
	{"deploymentConfiguration.earlySuccessCriteria.healthyPercent", used, ""},
	{"deploymentConfiguration.earlySuccessCriteria.sourceServiceRevisionCleanup", used, ""},
	{"deploymentConfiguration.lifecycleHooks[]", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].targetType", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].hookTargetArn", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].roleArn", ignored, noRole},
	{"deploymentConfiguration.lifecycleHooks[].lifecycleStages", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].hookDetails", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].timeoutConfiguration", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].timeoutConfiguration.timeoutInMinutes", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].timeoutConfiguration.action", used, ""},
	{"deploymentConfiguration.lifecycleHooks[].name", used, ""}, // and those below are Skein's own
	{"deploymentConfiguration.lifecycleHooks[].secretFile", used, ""},
	{"deploymentConfiguration.progressDeadlineSeconds", used, ""},
	{"deploymentConfiguration.analysis", used, ""},
	{"deploymentConfiguration.analysis.enable", used, ""},
	{"deploymentConfiguration.analysis.windowSeconds", used, ""},
	{"deploymentConfiguration.analysis.minRequests", used, ""},
	{"deploymentConfiguration.analysis.errorPercent", used, ""},
	{"deploymentConfiguration.analysis.latencyMs", used, ""},
	{"deploymentConfiguration.analysis.quantile", used, ""},
	{"deploymentConfiguration.analysis.ratio", used, ""},
	{"deploymentConfiguration.probe", used, ""},
	{"deploymentConfiguration.probe.enable", used, ""},
	{"deploymentConfiguration.probe.path", used, ""},
	{"deploymentConfiguration.probe.count", used, ""},
	{"deploymentConfiguration.probe.status", used, ""},
	{"deploymentConfiguration.probe.contains", used, ""},
	{"deploymentConfiguration.probe.latencyMs", used, ""},
	{"deploymentConfiguration.probe.host", used, ""},
	{"despiteAlarms", used, ""}, // Skein's own
	{"loadBalancers[]", used, ""},
	{"loadBalancers[].targetGroupArn", used, ""},
	{"loadBalancers[].containerName", used, ""},
	{"loadBalancers[].containerPort", used, ""},
	{"loadBalancers[].advancedConfiguration", used, ""},
	{"loadBalancers[].advancedConfiguration.alternateTargetGroupArn", used, ""},
	{"loadBalancers[].advancedConfiguration.productionListenerRule", used, ""},
	{"loadBalancers[].advancedConfiguration.testListenerRule", used, ""},
	{"loadBalancers[].advancedConfiguration.roleArn", ignored, noRole},
	{"loadBalancers[].loadBalancerName", refused, "it names a Classic Load Balancer; name a target group"},
	{"expose", used, ""}, // Skein's own
	{"expose.containerPort", used, ""},
	{"expose.listen", used, ""},
	{"expose.protocol", used, ""},
	{"expose.host", used, ""},
	{"expose.path", used, ""},
	{"expose.healthCheckPath", used, ""},
	{"onDisconnect", used, ""}, // Skein's own
	{"onDisconnect.stopAfterSeconds", used, ""},
	{"tags[]", used, ""},
	{"tags[].key", used, ""},
	{"tags[].value", used, ""},

	{"cluster", ignored, oneFleet},
	{"availabilityZoneRebalancing", ignored,
		"new tasks are spread over zones; moving running ones comes with rebalancing"},
	{"launchType", ignored, "every task runs on the fleet's hosts"},
	{"platformVersion", ignored, onlyAWS},
	{"role", ignored, onlyAWS},
	{"enableECSManagedTags", ignored, onlyAWS},
	{"propagateTags", ignored, "tasks carry no tags; those of the service and the definition are shown with them"},
	{"monitoring", ignored, "metrics are served at /metrics"},
	{"capacityProviderStrategy", refused, withPools},
	{"serviceRegistries", refused, withTraffic},
	{"serviceConnectConfiguration", used, ""},
	{"serviceConnectConfiguration.enabled", used, ""},
	{"serviceConnectConfiguration.namespace", used, ""},
	{"serviceConnectConfiguration.services[]", used, ""},
	{"serviceConnectConfiguration.services[].portName", used, ""},
	{"serviceConnectConfiguration.services[].discoveryName", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[]", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[].port", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[].dnsName", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[].testTrafficRules", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[].testTrafficRules.header", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[].testTrafficRules.header.name", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[].testTrafficRules.header.value", used, ""},
	{"serviceConnectConfiguration.services[].clientAliases[].testTrafficRules.header.value.exact", used, ""},
	{"serviceConnectConfiguration.services[].timeout", used, ""},
	{"serviceConnectConfiguration.services[].timeout.idleTimeoutSeconds", used, ""},
	{"serviceConnectConfiguration.services[].timeout.perRequestTimeoutSeconds", ignored,
		"an answer must begin within 60 s; change the rule of the alias for another time"},
	{"serviceConnectConfiguration.services[].ingressPortOverride", ignored,
		"no proxy listens in a task: hosts reach its port"},
	{"serviceConnectConfiguration.services[].tls", refused, "tasks and hosts speak without TLS for now; leave it out"},
	{"serviceConnectConfiguration.logConfiguration", ignored, "there is no proxy in a task that would log"},
	{"serviceConnectConfiguration.accessLogConfiguration", ignored, "there is no proxy in a task that would log"},
	{"serviceConnectConfiguration.containerConfigurations", ignored, "there is no proxy in a task that would log"},
	{"vpcLatticeConfigurations", refused, withTraffic},
	{"gatewayConnectors", refused, withTraffic},
	{"networkConfiguration", ignored, noVPC},
	{"placementConstraints", refused, wholeTaskModel},
	{"placementStrategy", refused, noStrategies},
	{"volumeConfigurations", refused, wholeTaskModel},
	{"enableExecuteCommand", refused, withExec},
})

// runTable is every field of RunTask. Source: ECS API, RunTask.
var runTable = table("run", []row{
	{"taskDefinition", used, ""},
	{"count", used, ""},
	{"startedBy", used, ""},
	{"group", used, ""},
	{"clientToken", used, ""},

	{"cluster", ignored, oneFleet},
	{"launchType", ignored, "every task runs on the fleet's hosts"},
	{"platformVersion", ignored, onlyAWS},
	{"enableECSManagedTags", ignored, onlyAWS},
	{"propagateTags", ignored, "tasks carry no tags"},
	{"referenceId", ignored, onlyAWS},
	{"tags", ignored, "tasks carry no tags"},
	{"capacityProviderStrategy", refused, withPools},
	{"networkConfiguration", ignored, noVPC},
	{"overrides", refused, wholeTaskModel},
	{"placementConstraints", refused, wholeTaskModel},
	{"placementStrategy", refused, noStrategies},
	{"volumeConfigurations", refused, wholeTaskModel},
	{"enableExecuteCommand", refused, withExec},
})

// stopTable is every field of StopTask. Source: ECS API, StopTask.
var stopTable = table("stop", []row{
	{"task", used, ""},
	{"reason", used, ""},
	{"clientToken", used, ""}, // Skein's own
	{"cluster", ignored, oneFleet},
})

// ServiceFields is the table of service fields, in order.
func ServiceFields() []strictjson.Field { return serviceTable.Fields() }

// RunFields is the table of RunTask fields, in order.
func RunFields() []strictjson.Field { return runTable.Fields() }

// StopFields is the table of StopTask fields, in order.
func StopFields() []strictjson.Field { return stopTable.Fields() }
