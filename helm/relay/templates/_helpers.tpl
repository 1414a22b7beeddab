{{/* Names, labels, and what several objects share. */}}

{{- define "relay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "relay.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "relay.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "relay.selectorLabels" -}}
app.kubernetes.io/name: {{ include "relay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relay.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "relay.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: relay
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relay.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "relay.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "relay.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "relay.drainSeconds" -}}
{{- dig "drain_seconds_max" 20 .Values.settings -}}
{{- end -}}

{{- define "relay.groupProtocol" -}}
{{- dig "kafka" "group_protocol" "classic" .Values.settings | default "classic" -}}
{{- end -}}

{{- define "relay.adminPort" -}}
{{- dig "admin" "port" 8080 .Values.settings | int -}}
{{- end -}}

{{- define "relay.isStatic" -}}
{{- if and (eq .Values.workload.kind "StatefulSet") (not (dig "kafka" "group_instance_id" "" .Values.settings)) -}}true{{- end -}}
{{- end -}}

{{/* The file that the program reads: the settings as given, and what follows from the rest of the values. */}}
{{- define "relay.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $kafka := default dict $settings.kafka -}}
{{- $client := default dict $kafka.client -}}
{{- $api := default dict $settings.api -}}
{{- if and (include "relay.isStatic" .) (eq (include "relay.groupProtocol" .) "classic") (not (hasKey $client "session.timeout.ms")) -}}
{{- $_ := set $client "session.timeout.ms" (mul 1000 (int .Values.workload.sessionTimeoutSeconds)) -}}
{{- end -}}
{{- with .Values.secrets.kafkaTls -}}
{{- if .existingSecret -}}
{{- if .caKey -}}{{- $_ := set $client "ssl.ca.location" "/etc/relay/kafka-tls/ca.crt" -}}{{- end -}}
{{- if .certKey -}}
{{- $_ := set $client "ssl.certificate.location" "/etc/relay/kafka-tls/tls.crt" -}}
{{- $_ := set $client "ssl.key.location" "/etc/relay/kafka-tls/tls.key" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.secrets.apiTls -}}
{{- if .existingSecret -}}
{{- if .caKey -}}{{- $_ := set $api "ca_file" "/etc/relay/api-tls/ca.crt" -}}{{- end -}}
{{- if .certKey -}}
{{- $_ := set $api "client_cert_file" "/etc/relay/api-tls/tls.crt" -}}
{{- if .keyKey -}}{{- $_ := set $api "client_key_file" "/etc/relay/api-tls/tls.key" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $client -}}{{- $_ := set $kafka "client" $client -}}{{- end -}}
{{- $_ := set $settings "kafka" $kafka -}}
{{- $_ := set $settings "api" $api -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "relay.hasSecretFiles" -}}
{{- if or .Values.secrets.sasl.existingSecret .Values.secrets.oauth.existingSecret .Values.secrets.inline .Values.secrets.fromSecrets (and .Values.secrets.kafkaTls.existingSecret .Values.secrets.kafkaTls.keyPasswordKey) -}}true{{- end -}}
{{- end -}}

{{/* Environment, mounts and volumes: the same for the relay and for the pod of `helm test`. */}}
{{- define "relay.env" -}}
- name: TMPDIR
  value: /tmp
{{- if include "relay.hasSecretFiles" . }}
- name: RELAY_SECRETS_DIR
  value: /etc/relay/secrets
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relay.mounts" -}}
- {name: config, mountPath: /etc/relay/config, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if include "relay.hasSecretFiles" . }}
- {name: secrets, mountPath: /etc/relay/secrets, readOnly: true}
{{- end }}
{{- if .Values.secrets.kafkaTls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/relay/kafka-tls, readOnly: true}
{{- end }}
{{- if .Values.secrets.apiTls.existingSecret }}
- {name: api-tls, mountPath: /etc/relay/api-tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relay.tlsItems" -}}
{{- with .caKey }}
- {key: {{ . | quote }}, path: ca.crt}
{{- end }}
{{- with .certKey }}
- {key: {{ . | quote }}, path: tls.crt}
{{- end }}
{{- with .keyKey }}
- {key: {{ . | quote }}, path: tls.key}
{{- end }}
{{- end -}}

{{- define "relay.volumes" -}}
- name: config
  configMap:
    name: {{ include "relay.fullname" . }}
- name: tmp
  emptyDir:
    sizeLimit: 16Mi
{{- if include "relay.hasSecretFiles" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- with .Values.secrets.sasl }}
      {{- if .existingSecret }}
      - secret:
          name: {{ .existingSecret | quote }}
          items:
            - {key: {{ .usernameKey | quote }}, path: kafka__client__sasl.username}
            - {key: {{ .passwordKey | quote }}, path: kafka__client__sasl.password}
      {{- end }}
      {{- end }}
      {{- with .Values.secrets.kafkaTls }}
      {{- if and .existingSecret .keyPasswordKey }}
      - secret:
          name: {{ .existingSecret | quote }}
          items:
            - {key: {{ .keyPasswordKey | quote }}, path: kafka__client__ssl.key.password}
      {{- end }}
      {{- end }}
      {{- with .Values.secrets.oauth }}
      {{- if .existingSecret }}
      - secret:
          name: {{ .existingSecret | quote }}
          items:
            {{- with .clientIdKey }}
            - {key: {{ . | quote }}, path: oauth__client_id}
            {{- end }}
            - {key: {{ .clientSecretKey | quote }}, path: oauth__client_secret}
      {{- end }}
      {{- end }}
      {{- range .Values.secrets.fromSecrets }}
      - secret:
          name: {{ .existingSecret | quote }}
          items:
            - {key: {{ .key | quote }}, path: {{ .setting | quote }}}
      {{- end }}
      {{- if .Values.secrets.inline }}
      - secret:
          name: {{ include "relay.fullname" . }}-inline
      {{- end }}
{{- end }}
{{- with .Values.secrets.kafkaTls }}
{{- if .existingSecret }}
- name: kafka-tls
  secret:
    secretName: {{ .existingSecret | quote }}
    defaultMode: 0440
    items:
      {{- include "relay.tlsItems" . | trim | nindent 6 }}
{{- end }}
{{- end }}
{{- with .Values.secrets.apiTls }}
{{- if .existingSecret }}
- name: api-tls
  secret:
    secretName: {{ .existingSecret | quote }}
    defaultMode: 0440
    items:
      {{- include "relay.tlsItems" . | trim | nindent 6 }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
