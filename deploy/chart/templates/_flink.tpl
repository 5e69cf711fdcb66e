{{/* Mounts, volumes, variables and pods of JobManagers and TaskManagers. */}}

{{- define "sealflow.flinkMounts" -}}
- name: flink
  mountPath: /etc/sealflow-flink
  readOnly: true
- name: flink-run
  mountPath: /run/flink
{{- if .root.Values.tls.enabled }}
{{- range .sides }}
- name: flink-{{ . }}
  mountPath: /run/secrets/sealflow/{{ . }}
  readOnly: true
{{- end }}
{{- end }}
{{- if .root.Values.flink.ha.existingClaim }}
- name: flink-ha
  mountPath: /flink-ha
{{- end }}
{{- end -}}

{{- define "sealflow.flinkVolumes" -}}
- name: flink
  configMap:
    name: {{ include "sealflow.fullname" .root }}-flink
- name: flink-run
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
{{- if .root.Values.tls.enabled }}
{{- $context := . }}
{{- range .sides }}
{{- $identity := ternary "rest" $context.component (eq . "rest") }}
- name: flink-{{ . }}
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "sealflow.secret" (list $context.root $identity "tls") }}
          items:
            - {key: keystore.p12, path: keystore.p12}
            - {key: truststore.p12, path: truststore.p12}
      - secret:
          name: {{ include "sealflow.secret" (list $context.root $identity "password") }}
          items:
            - {key: keystore, path: keystore}
{{- end }}
{{- end }}
{{- with .root.Values.flink.ha.existingClaim }}
- name: flink-ha
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end }}
{{- end -}}

{{- define "sealflow.flinkEnv" -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- if and .jobmanager .root.Values.flink.ha.enabled }}
- name: JOBMANAGER_BY_IP
  value: "true"
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The pod of a TaskManager, or of the local engine. */}}
{{- define "sealflow.workerPod" -}}
{{- $tm := .Values.taskmanager -}}
{{- $flink := eq .Values.engine.kind "flink" -}}
{{- $drain := default 20 .Values.engine.settings.drain_s | int -}}
{{- $config := cat (include "sealflow.engineToml" .) .Values.deployment.settings (ternary (include "sealflow.flinkConfig" .) "" $flink) -}}
{{- $context := dict "root" $ "component" "taskmanager" "configMap" "engine" "identity" "engine" "sides" (list "internal") "values" $tm "enclave" true "packages" "read" "account" (ternary "taskmanager" "" (and $flink .Values.flink.ha.enabled)) "config" $config -}}
metadata:
  {{- include "sealflow.podMetadata" $context | nindent 2 }}
spec:
  {{- include "sealflow.pod" $context | nindent 2 }}
  # The time to drain, and then to stop each worker.
  terminationGracePeriodSeconds: {{ add $drain 15 }}
  containers:
    - name: {{ ternary "taskmanager" "engine" $flink }}
      {{- include "sealflow.imageFields" (list . $tm.image) | nindent 6 }}
      {{- if $flink }}
      command: [sh, /etc/sealflow-flink/flink-start.sh, taskmanager.sh]
      env:
        {{- include "sealflow.flinkEnv" $context | nindent 8 }}
      ports:
        - {name: data, containerPort: 6121}
        - {name: rpc, containerPort: 6122}
        - {name: query, containerPort: 6125}
        - {name: metrics, containerPort: 9249}
      startupProbe:
        tcpSocket: {port: rpc}
        periodSeconds: 3
        failureThreshold: 100
      readinessProbe:
        tcpSocket: {port: rpc}
        periodSeconds: 10
      livenessProbe:
        tcpSocket: {port: rpc}
        periodSeconds: 15
        failureThreshold: 6
      {{- else }}
      # The instance has the pod's constant name, so that a restarted pod continues at once with its
      # unacknowledged requests.
      command:
        - sh
        - -c
        - sed "s/@HOSTNAME@/$HOSTNAME/" /etc/sealflow/engine.toml > /tmp/engine.toml && exec python -P -m sealflow.host.engine /tmp/engine.toml
      {{- with $tm.extraEnv }}
      env: {{ toJson . }}
      {{- end }}
      # No probes: the engine has no port, and it exits with a message when it cannot work.
      {{- end }}
      {{- include "sealflow.containerSecurity" . | nindent 6 }}
      {{- include "sealflow.enclaveResources" (dict "root" $ "values" $tm) | nindent 6 }}
      volumeMounts:
        {{- include "sealflow.mounts" $context | nindent 8 }}
        {{- if $flink }}
        {{- include "sealflow.flinkMounts" $context | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "sealflow.volumes" $context | nindent 4 }}
    {{- if $flink }}
    {{- include "sealflow.flinkVolumes" $context | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The pod of a JobManager. It cannot connect to the queue, and has no keys but Flink's. */}}
{{- define "sealflow.jobmanagerPod" -}}
{{- $jm := .Values.jobmanager -}}
{{- $context := dict "root" $ "component" "jobmanager" "configMap" "flink" "sides" (list "internal" "rest") "values" $jm "account" (ternary "jobmanager" "" .Values.flink.ha.enabled) "jobmanager" true "config" (cat (include "sealflow.flinkConfig" .) (include "sealflow.jobToml" .)) -}}
metadata:
  {{- include "sealflow.podMetadata" $context | nindent 2 }}
spec:
  {{- include "sealflow.pod" $context | nindent 2 }}
  terminationGracePeriodSeconds: 30
  containers:
    - name: jobmanager
      {{- include "sealflow.imageFields" (list . $jm.image) | nindent 6 }}
      command: [sh, /etc/sealflow-flink/flink-start.sh, standalone-job.sh]
      args:
        - --job-classname
        - org.apache.flink.client.python.PythonDriver
        - -pym
        - sealflow.host.engine.flink.submit
        - /etc/sealflow-flink/job.toml
      env:
        {{- include "sealflow.flinkEnv" $context | nindent 8 }}
      ports:
        - {name: rpc, containerPort: 6123}
        - {name: blob, containerPort: 6124}
        - {name: query, containerPort: 6125}
        - {name: rest, containerPort: 8081}
        - {name: metrics, containerPort: 9249}
      # By TCP: the REST server requires a client certificate, and a standby's does not respond
      # without a leader.
      startupProbe:
        tcpSocket: {port: {{ ternary "rest" "rpc" .Values.flink.ha.enabled }}}
        periodSeconds: 3
        failureThreshold: 100
      readinessProbe:
        tcpSocket: {port: rest}
        periodSeconds: 10
      livenessProbe:
        tcpSocket: {port: {{ ternary "rest" "rpc" .Values.flink.ha.enabled }}}
        periodSeconds: 15
        failureThreshold: 6
      {{- include "sealflow.containerSecurity" . | nindent 6 }}
      resources: {{ toJson $jm.resources }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- include "sealflow.flinkMounts" $context | nindent 8 }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 1Gi
    {{- include "sealflow.flinkVolumes" $context | nindent 4 }}
{{- end -}}
