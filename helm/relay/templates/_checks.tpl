{{/* What cannot work is refused when it is rendered, with a line that says what to change. */}}
{{- define "relay.checks" -}}
{{- $kafka := dig "kafka" dict .Values.settings -}}
{{- $client := dig "client" dict $kafka -}}
{{- $drain := include "relay.drainSeconds" . | float64 -}}
{{- $protocol := include "relay.groupProtocol" . -}}
{{- $_ := required "settings.kafka.bootstrap_servers is required: the brokers as host:port, separated by commas" (dig "bootstrap_servers" "" $kafka) -}}
{{- $_ := required "settings.api.url is required: the base URL of the API, without its path" (dig "api" "url" "" .Values.settings) -}}
{{- if lt (float64 .Values.workload.terminationGracePeriodSeconds) (addf $drain 10.0) -}}
{{- fail (printf "workload.terminationGracePeriodSeconds is %v, and settings.drain_seconds_max is %v: Kubernetes would kill the relay before it has committed; leave at least 10 seconds more" .Values.workload.terminationGracePeriodSeconds $drain) -}}
{{- end -}}
{{- range $name, $_ := $client -}}
{{- if regexMatch "(?i)password|secret|jaas|token|^ssl\\.key\\.pem$|^sasl\\.username$" $name -}}
{{- if not (regexMatch "(?i)location|endpoint|url|method" $name) -}}
{{- fail (printf "settings.kafka.client.%s would stand in a ConfigMap: use secrets.sasl, secrets.kafkaTls or secrets.fromSecrets" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if dig "oauth" "client_secret" "" .Values.settings -}}
{{- fail "settings.oauth.client_secret would stand in a ConfigMap: use secrets.oauth" -}}
{{- end -}}
{{- range $path := $.Files.Get "files/secret-settings.yaml" | fromYamlArray -}}
{{- $given := $.Values.settings -}}
{{- range $name := splitList "." $path -}}
{{- if kindIs "map" $given -}}{{- $given = get $given $name -}}{{- else -}}{{- $given = "" -}}{{- end -}}
{{- end -}}
{{- if $given -}}
{{- fail (printf "settings.%s would stand in a ConfigMap: use secrets.fromSecrets with the setting %s, or secrets.inline" $path ($path | replace "." "__")) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.secrets.oauth.existingSecret (not (dig "oauth" "token_url" "" .Values.settings)) -}}
{{- fail "secrets.oauth is set, and settings.oauth.token_url is not: nobody would ask for a token" -}}
{{- end -}}
{{- if eq $protocol "consumer" -}}
{{- range list "session.timeout.ms" "heartbeat.interval.ms" "partition.assignment.strategy" -}}
{{- if hasKey $client . -}}
{{- fail (printf "settings.kafka.client.%s: with group_protocol consumer the broker decides this (group.consumer.session.timeout.ms and its like); leave it out" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (include "relay.isStatic" .) (eq $protocol "classic") -}}
{{- $timeout := float64 .Values.workload.sessionTimeoutSeconds -}}
{{- if hasKey $client "session.timeout.ms" -}}{{- $timeout = divf (index $client "session.timeout.ms" | toString | float64) 1000.0 -}}{{- end -}}
{{- $least := addf $drain (float64 .Values.workload.restartSeconds) -}}
{{- if le $timeout $least -}}
{{- fail (printf "the session timeout of static members is %v s; it must be above settings.drain_seconds_max + workload.restartSeconds = %v s, or each restart costs a rebalance: raise workload.sessionTimeoutSeconds" $timeout $least) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.workload.kind "StatefulSet") (dig "group_instance_id" "" $kafka) -}}
{{- fail "settings.kafka.group_instance_id would give all pods one name, and only one of them could join: leave it out, a StatefulSet takes the pods' names" -}}
{{- end -}}
{{- if and (eq .Values.workload.kind "Deployment") (dig "group_instance_id" "" $kafka) (ne (int .Values.workload.replicas) 1) -}}
{{- fail "settings.kafka.group_instance_id would give all pods one name, and only one of them could join: leave it out" -}}
{{- end -}}
{{- with .Values.secrets.kafkaTls -}}
{{- if and .existingSecret (ne (empty .certKey) (empty .keyKey)) -}}
{{- fail "secrets.kafkaTls: certKey and keyKey go together; set both or neither" -}}
{{- end -}}
{{- if and .existingSecret (not (regexMatch "SSL" (dig "security.protocol" "" $client | toString | upper))) -}}
{{- fail "secrets.kafkaTls is set, and settings.kafka.client has no security.protocol SSL or SASL_SSL: the certificates would not be used" -}}
{{- end -}}
{{- end -}}
{{- with .Values.secrets.apiTls -}}
{{- if and .existingSecret .keyKey (not .certKey) -}}
{{- fail "secrets.apiTls: keyKey is set without certKey" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.secrets.sasl.existingSecret (not (regexMatch "SASL" (dig "security.protocol" "" $client | toString | upper))) -}}
{{- fail "secrets.sasl is set, and settings.kafka.client has no security.protocol SASL_SSL or SASL_PLAINTEXT: nobody would log in" -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and .hpa.enabled .keda.enabled -}}
{{- fail "autoscaling.hpa and autoscaling.keda would pull the replicas to and fro: enable one of them" -}}
{{- end -}}
{{- if .keda.enabled -}}
{{- if lt (int .keda.partitions) 1 -}}
{{- fail "autoscaling.keda.partitions is required: how many partitions the source topics have together" -}}
{{- end -}}
{{- if gt (int .keda.maxReplicaCount) (int .keda.partitions) -}}
{{- fail (printf "autoscaling.keda.maxReplicaCount is %d, and there are %d partitions: more pods would have nothing to do" (int .keda.maxReplicaCount) (int .keda.partitions)) -}}
{{- end -}}
{{- if gt (int .keda.minReplicaCount) (int .keda.maxReplicaCount) -}}
{{- fail "autoscaling.keda.minReplicaCount is above maxReplicaCount" -}}
{{- end -}}
{{- if and (eq .keda.trigger "prometheus") (not .keda.prometheus.serverAddress) -}}
{{- fail "autoscaling.keda.prometheus.serverAddress is required by the trigger prometheus" -}}
{{- end -}}
{{- if and (ne .keda.kafka.sasl "none") (not $.Values.secrets.sasl.existingSecret) -}}
{{- fail "autoscaling.keda.kafka.sasl needs the Secret of secrets.sasl.existingSecret" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
