{{/* Parts that all pods and containers have in common. */}}

{{/* Fields of a pod; takes (dict "root" $ "component" "gateway" "values" .Values.gateway). */}}
{{- define "sealflow.pod" -}}
{{- $root := .root -}}
{{- $guarded := has .component (list "taskmanager" "keybroker") -}}
{{- $sgx := and $guarded (eq $root.Values.sgx.mode "sgx") -}}
serviceAccountName: {{ include "sealflow.fullname" $root }}{{ with .account }}-{{ . }}{{ end }}
automountServiceAccountToken: {{ not (empty .account) }}
enableServiceLinks: false
{{- if and $guarded (ne $root.Values.confidentialVm.tee "none") }}
runtimeClassName: {{ $root.Values.confidentialVm.runtimeClassName }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
  {{- if and $sgx $root.Values.sgx.supplementalGroups }}
  supplementalGroups: {{ toJson $root.Values.sgx.supplementalGroups }}
  {{- end }}
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- $tolerations := .values.tolerations -}}
{{- if $sgx -}}
{{- $tolerations = append $tolerations (dict "key" "sgx.intel.com/epc" "operator" "Exists" "effect" "NoSchedule") -}}
{{- end -}}
{{- with $tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "sealflow.selector" (list $root $.component) | fromYaml | toJson }}
  {{- end }}
{{- end -}}

{{/* Labels and annotations of a pod; takes the same dict with "config", whose change restarts the pod. */}}
{{- define "sealflow.podMetadata" -}}
{{- $root := .root -}}
labels:
  {{- include "sealflow.labels" (list $root .component) | nindent 2 }}
  {{- if eq .component "benchmark" }}
  sealflow/client: "true"
  {{- end }}
annotations:
  checksum/config: {{ .config | sha256sum }}
  {{- if and (has .component (list "taskmanager" "keybroker")) (eq $root.Values.sgx.mode "sgx") $root.Values.sgx.deviceWebhook }}
  sgx.intel.com/quote-provider: {{ ternary "aesmd" .component (eq $root.Values.sgx.quoteProvider "aesmd") }}
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Security context of a container: Pod Security `restricted` with a read-only root. */}}
{{- define "sealflow.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Image fields; takes (list $ image). */}}
{{- define "sealflow.imageFields" -}}
image: {{ include "sealflow.image" . }}
imagePullPolicy: {{ (index . 1).pullPolicy }}
{{- end -}}

{{/* Resources of a container, with EPC for enclaves; takes (dict "root" $ "values" …). */}}
{{- define "sealflow.enclaveResources" -}}
{{- $limits := deepCopy .values.resources.limits -}}
{{- if eq .root.Values.sgx.mode "sgx" -}}
{{- $_ := set $limits "sgx.intel.com/epc" .values.epc -}}
{{- if not .root.Values.sgx.deviceWebhook -}}
{{- $_ := set $limits "sgx.intel.com/enclave" "1" -}}
{{- if eq .root.Values.sgx.quoteProvider "in-process" -}}
{{- $_ := set $limits "sgx.intel.com/provision" "1" -}}
{{- end -}}
{{- end -}}
{{- end -}}
resources:
  requests: {{ toJson .values.resources.requests }}
  limits: {{ toJson $limits }}
{{- end -}}

{{/* Mounts of every Sealflow process; takes (dict "root" $ "component" …). */}}
{{- define "sealflow.mounts" -}}
- name: config
  mountPath: /etc/sealflow
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if .root.Values.tls.enabled }}
- name: tls
  mountPath: /run/secrets/sealflow/tls
  readOnly: true
{{- end }}
{{- if not .withoutPassword }}
- name: password
  mountPath: /run/secrets/sealflow/password
  readOnly: true
{{- end }}
{{- if .enclave }}
- name: deployment
  mountPath: /etc/sealflow-deployment
  readOnly: true
{{- if .root.Values.simulatedPlatform.existingSecret }}
- name: simulated-platform
  mountPath: /run/secrets/sealflow/simulated-platform
  readOnly: true
{{- end }}
{{- if .root.Values.sgx.pccsUrl }}
- name: qcnl
  mountPath: /etc/sgx_default_qcnl.conf
  subPath: sgx_default_qcnl.conf
  readOnly: true
- name: pccs-ca
  mountPath: /etc/sealflow-pccs
  readOnly: true
# The constant path at which Intel's quoting library reads root certificates.
- name: pccs-ca
  mountPath: /etc/ssl/certs/ca-certificates.crt
  subPath: ca.crt
  readOnly: true
{{- end }}
{{- if and (eq .root.Values.sgx.mode "sgx") (eq .root.Values.sgx.quoteProvider "aesmd") }}
- name: aesmd-socket
  mountPath: /var/run/aesmd
{{- end }}
{{- end }}
{{- if .packages }}
- name: packages
  mountPath: /var/lib/sealflow/packages
  readOnly: {{ eq .packages "read" }}
{{- end }}
{{- end -}}

{{/* The volumes of these mounts. "identity": the component whose Secrets are mounted. */}}
{{- define "sealflow.volumes" -}}
{{- $root := .root -}}
{{- $fullname := include "sealflow.fullname" $root -}}
- name: config
  configMap:
    name: {{ $fullname }}-{{ default .component .configMap }}
- name: tmp
  emptyDir:
    sizeLimit: {{ default "256Mi" .tmpSize }}
{{- if $root.Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "sealflow.secret" (list $root .identity "tls") }}
    defaultMode: 0440
{{- end }}
{{- if not .withoutPassword }}
- name: password
  secret:
    secretName: {{ include "sealflow.secret" (list $root .identity "password") }}
    defaultMode: 0440
{{- end }}
{{- if .enclave }}
- name: deployment
  configMap:
    name: {{ include "sealflow.deploymentConfigMap" $root }}
{{- with $root.Values.simulatedPlatform.existingSecret }}
- name: simulated-platform
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if $root.Values.sgx.pccsUrl }}
- name: qcnl
  configMap:
    name: {{ $fullname }}-qcnl
- name: pccs-ca
  {{- with $root.Values.sgx.pccsCa }}
  {{- $items := list (dict "key" .key "path" "ca.crt") }}
  {{- if .existingSecret }}
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items: {{ toJson $items }}
  {{- else }}
  configMap:
    name: {{ .existingConfigMap }}
    items: {{ toJson $items }}
  {{- end }}
  {{- end }}
{{- end }}
{{- if and (eq $root.Values.sgx.mode "sgx") (eq $root.Values.sgx.quoteProvider "aesmd") }}
- name: aesmd-socket
  hostPath:
    path: /var/run/aesmd
    type: Directory
{{- end }}
{{- end }}
{{- if .packages }}
- name: packages
  persistentVolumeClaim:
    claimName: {{ include "sealflow.packagesClaim" $root }}
{{- end }}
{{- end -}}
