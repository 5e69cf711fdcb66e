{{/* Names, labels, images and quantities that all templates use. */}}

{{- define "sealflow.name" -}}
{{- .Chart.Name -}}
{{- end -}}

{{/* The prefix of all names. `sealflow keys` issues certificates for RELEASE-COMPONENT. */}}
{{- define "sealflow.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of one component; takes (list $ "gateway"). */}}
{{- define "sealflow.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "sealflow.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "sealflow.labels" -}}
{{- $root := index . 0 -}}
{{ include "sealflow.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: sealflow
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
sealflow/tee: {{ include "sealflow.tee" $root }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The TEE of this release: sgx, tdx, snp or simulated. */}}
{{- define "sealflow.tee" -}}
{{- if eq .Values.sgx.mode "sgx" -}}sgx
{{- else if ne .Values.confidentialVm.tee "none" -}}{{ .Values.confidentialVm.tee }}
{{- else -}}simulated{{- end -}}
{{- end -}}

{{/* The reference of an image; takes (list $ .Values.gateway.image). A digest has precedence over a tag. */}}
{{- define "sealflow.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := default $image.registry $root.Values.global.imageRegistry -}}
{{- $name := ternary $image.repository (printf "%s/%s" $registry $image.repository) (empty $registry) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The bytes of a quantity such as 512Mi, 2G or 1048576. */}}
{{- define "sealflow.bytes" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9]+" $text | int64 -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $sizes := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000
      "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mul $number (get $sizes $unit | int64) -}}
{{- end -}}

{{/* A quantity in whole MiB, for messages and for Flink. */}}
{{- define "sealflow.mebibytes" -}}
{{- div (include "sealflow.bytes" . | int64) 1048576 -}}
{{- end -}}

{{/* The Secret of one component; takes (list $ "gateway" "tls"). */}}
{{- define "sealflow.secret" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s-%s" (default (include "sealflow.fullname" $root) $root.Values.secrets.prefix) (index . 1) (index . 2) -}}
{{- end -}}

{{- define "sealflow.deploymentConfigMap" -}}
{{- default (printf "%s-deployment" (include "sealflow.fullname" .)) .Values.deployment.existingConfigMap -}}
{{- end -}}

{{- define "sealflow.packagesClaim" -}}
{{- default (printf "%s-packages" (include "sealflow.fullname" .)) .Values.packages.existingClaim -}}
{{- end -}}

{{/* TOML from a dict of strings, numbers and booleans, whose JSON is valid TOML. */}}
{{- define "sealflow.toml" -}}
{{- range $key, $value := . }}
{{- if kindIs "map" $value }}
{{- $fields := list }}
{{- range $name, $field := $value }}{{ $fields = append $fields (printf "%s = %s" $name (toJson $field)) }}{{ end }}
{{ $key }} = { {{ join ", " $fields }} }
{{- else }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}
