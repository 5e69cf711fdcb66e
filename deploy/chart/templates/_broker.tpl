{{- define "sealflow.valkeyConf" -}}
{{ .Files.Get "files/valkey.conf" -}}
maxmemory {{ include "sealflow.bytes" .Values.broker.maxMemory }}
{{- if .Values.tls.enabled }}
port 0
tls-port 6379
tls-cert-file /run/secrets/sealflow/tls/tls.crt
tls-key-file /run/secrets/sealflow/tls/tls.key
tls-ca-cert-file /run/secrets/sealflow/tls/ca.crt
tls-auth-clients yes
{{- else }}
port 6379
{{- end }}
{{ end -}}
