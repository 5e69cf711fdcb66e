{{/* The settings of each process, as TOML. */}}

{{/* Settings for the broker's address; takes (list $ "gateway"). */}}
{{- define "sealflow.brokerSettings" -}}
{{- $root := index . 0 -}}
{{- $user := index . 1 -}}
{{- $url := printf "%s://%s-broker:6379" (ternary "valkeys" "valkey" $root.Values.tls.enabled) (include "sealflow.fullname" $root) -}}
{{- if not $root.Values.broker.bundled -}}{{- $url = $root.Values.broker.external.url -}}{{- end -}}
{{- $parts := regexSplit "://" $url 2 -}}
broker_url: {{ printf "%s://%s@%s" (index $parts 0) $user (index $parts 1) | quote }}
broker_password_file: /run/secrets/sealflow/password/broker
{{- if $root.Values.tls.enabled }}
broker_ca_file: /run/secrets/sealflow/tls/ca.crt
broker_certificate_file: /run/secrets/sealflow/tls/tls.crt
broker_key_file: /run/secrets/sealflow/tls/tls.key
{{- end }}
{{- end -}}

{{/* Settings of processes that start enclaves. */}}
{{- define "sealflow.enclaveSettings" -}}
deployment_file: /etc/sealflow-deployment/deployment.json
sgx_mode: {{ .Values.sgx.mode }}
enclaves_dir: {{ .Values.engine.enclavesDir }}
{{- with .Values.sgx.pccsUrl }}
collateral: {{ toJson (dict "cache_dir" "/tmp/collateral" "pccs_url" . "ca_file" "/etc/sealflow-pccs/ca.crt") }}
{{- end }}
{{- if .Values.simulatedPlatform.existingSecret }}
simulated_platform_file: /run/secrets/sealflow/simulated-platform/simulated-platform.json
{{- end }}
{{- end -}}

{{- define "sealflow.gatewayToml" -}}
{{- $settings := dict "deployment" .Values.deployment.name "packages_dir" "/var/lib/sealflow/packages"
      "host" "0.0.0.0" "port" .Values.gateway.port -}}
{{- if .Values.tls.enabled -}}
{{- $_ := set $settings "tls_certificate" "/run/secrets/sealflow/tls/tls.crt" -}}
{{- $_ := set $settings "tls_key" "/run/secrets/sealflow/tls/tls.key" -}}
{{- end -}}
{{- $settings = merge $settings (include "sealflow.brokerSettings" (list . "gateway") | fromYaml) .Values.gateway.settings -}}
{{- if not (hasKey $settings "max_held_bytes") -}}
{{- $_ := set $settings "max_held_bytes" (div (include "sealflow.bytes" .Values.gateway.resources.limits.memory | int64) 4) -}}
{{- end -}}
{{- include "sealflow.toml" $settings | trim -}}
{{- end -}}

{{- define "sealflow.keybrokerToml" -}}
{{- $settings := dict "deployment" .Values.deployment.name "state_dir" "/var/lib/sealflow/state/keybroker" -}}
{{- $settings = merge $settings (include "sealflow.brokerSettings" (list . "control") | fromYaml)
      (include "sealflow.enclaveSettings" . | fromYaml) .Values.keybroker.settings -}}
{{- include "sealflow.toml" $settings | trim -}}
{{- end -}}

{{- define "sealflow.engineToml" -}}
{{- $worker := .Values.taskmanager.worker -}}
{{- $settings := dict "deployment" .Values.deployment.name "packages_dir" "/var/lib/sealflow/packages"
      "max_owners" .Values.taskmanager.maxOwners "threads" $worker.threads "runtime" $worker.runtime
      "max_batch" $worker.maxBatch "max_wait_ms" $worker.maxWaitMs -}}
{{- if ne (include "sealflow.tee" .) "sgx" -}}
{{- $_ := set $settings "worker_memory_bytes" (include "sealflow.bytes" .Values.taskmanager.memory.worker | int64) -}}
{{- end -}}
{{- if eq .Values.engine.kind "local" -}}
{{- $_ := set $settings "workers" .Values.taskmanager.numberOfTaskSlots -}}
{{- if eq .Values.taskmanager.kind "StatefulSet" -}}
{{- $_ := set $settings "instance" "@HOSTNAME@" -}}
{{- end -}}
{{- end -}}
{{- $settings = merge $settings (include "sealflow.brokerSettings" (list . "engine") | fromYaml)
      (include "sealflow.enclaveSettings" . | fromYaml) .Values.engine.settings -}}
{{- include "sealflow.toml" $settings | trim -}}
{{- end -}}

{{/* The job that the JobManager runs in application mode. */}}
{{- define "sealflow.jobToml" -}}
{{- $parallelism := mul .Values.taskmanager.replicas .Values.taskmanager.numberOfTaskSlots -}}
{{- $settings := dict "engine_config" "/etc/sealflow/engine.toml"
      "parallelism" $parallelism "python" (printf "%s/bin/python" .Values.flink.venv) -}}
{{- $name := .Values.deployment.name -}}
{{- if .Values.flink.ha.enabled -}}
{{- /* A new leader continues the stored job of this name, so a job with other settings needs another name. */ -}}
{{- $name = printf "%s-%s" $name (toJson $settings | sha256sum | trunc 8) -}}
{{- end -}}
{{- $_ := set $settings "name" $name -}}
{{- include "sealflow.toml" $settings | trim -}}
{{- end -}}

{{/* The id under which JobManagers share their state. It depends on the image, as another version of
Flink may be unable to read the state. */}}
{{- define "sealflow.haId" -}}
{{- printf "%s-%s" (include "sealflow.fullname" .) (include "sealflow.image" (list . .Values.jobmanager.image) | sha256sum | trunc 8) -}}
{{- end -}}

{{/* Flink's config.yaml without the password of the stores, which flink-start.sh adds in the pod. */}}
{{- define "sealflow.flinkConfig" -}}
{{- $fullname := include "sealflow.fullname" . -}}
{{- $tm := .Values.taskmanager -}}
{{- $config := dict
      "jobmanager.rpc.address" (printf "%s-jobmanager" $fullname)
      "jobmanager.rpc.port" 6123
      "jobmanager.bind-host" "0.0.0.0"
      "jobmanager.memory.process.size" (printf "%sm" (include "sealflow.mebibytes" .Values.jobmanager.processMemory))
      "blob.server.port" "6124"
      "rest.bind-address" "0.0.0.0"
      "rest.port" 8081
      "taskmanager.bind-host" "0.0.0.0"
      "taskmanager.rpc.port" "6122"
      "taskmanager.data.port" 6121
      "taskmanager.numberOfTaskSlots" $tm.numberOfTaskSlots
      "taskmanager.load-balance.mode" "SLOTS"
      "taskmanager.memory.process.size" (printf "%sm" (include "sealflow.mebibytes" $tm.memory.process))
      "taskmanager.memory.managed.size" (printf "%sm" (include "sealflow.mebibytes" $tm.memory.managed))
      "taskmanager.memory.network.max" "64m"
      "web.submit.enable" false
      "heartbeat.interval" "2 s"
      "heartbeat.timeout" "10 s"
      "cluster.registration.refused-registration-delay" "1 s"
      "metrics.reporter.prom.factory.class" "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
      "metrics.reporter.prom.port" "9249"
      "metrics.internal.query-service.port" "6125"
      "python.executable" (printf "%s/bin/python" .Values.flink.venv)
      "python.client.executable" (printf "%s/bin/python" .Values.flink.venv)
      "io.tmp.dirs" "/tmp"
      "env.java.opts.all" (.Files.Get "files/java-options.txt" | trim) -}}
{{- with $tm.memory.taskHeap -}}
{{- $_ := set $config "taskmanager.memory.task.heap.size" (printf "%sm" (include "sealflow.mebibytes" .)) -}}
{{- end -}}
{{- if $tm.autoscaling.enabled -}}
{{- $_ := set $config "scheduler-mode" "reactive" -}}
{{- end -}}
{{- if .Values.flink.ha.enabled -}}
{{- $_ := set $config "high-availability.type" "kubernetes" -}}
{{- $_ := set $config "high-availability.storageDir" .Values.flink.ha.storageDir -}}
{{- $_ := set $config "high-availability.jobmanager.port" "6123" -}}
{{- range list "high-availability.cluster-id" "kubernetes.cluster-id" -}}
{{- $_ := set $config . (include "sealflow.haId" $) -}}
{{- end -}}
{{- $_ := set $config "kubernetes.namespace" .Release.Namespace -}}
{{- end -}}
{{- if .Values.tls.enabled -}}
{{- range list "internal" "rest" -}}
{{- $_ := set $config (printf "security.ssl.%s.enabled" .) true -}}
{{- $_ := set $config (printf "security.ssl.%s.keystore" .) (printf "/run/secrets/sealflow/%s/keystore.p12" .) -}}
{{- $_ := set $config (printf "security.ssl.%s.keystore-type" .) "PKCS12" -}}
{{- $_ := set $config (printf "security.ssl.%s.truststore" .) (printf "/run/secrets/sealflow/%s/truststore.p12" .) -}}
{{- $_ := set $config (printf "security.ssl.%s.truststore-type" .) "PKCS12" -}}
{{- end -}}
{{- $_ := set $config "security.ssl.rest.authentication-enabled" true -}}
{{- end -}}
{{- range $key, $value := merge (deepCopy .Values.flink.config) $config }}
{{ $key }}: {{ toJson $value }}
{{- end }}
{{- end -}}
