{{- /* The reference of an image: tieline.image (list VALUES-OF-THE-IMAGE $). */ -}}
{{- define "tieline.image" -}}
{{- $image := index . 0 -}}
{{- $top := index . 1 -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $top.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- /* The spec of a Pod that runs one command of the controller: tieline.commandPod (list ACCOUNT ARGUMENT $). */ -}}
{{- define "tieline.commandPod" -}}
{{- $top := index . 2 -}}
{{- with $top.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $top.Values.controller.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $top.Values.controller.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $top.Values.controller.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
serviceAccountName: {{ index . 0 }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
containers:
- name: {{ index . 1 }}
  image: {{ include "tieline.image" (list $top.Values.controller.image $top) }}
  {{- with $top.Values.controller.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  args:
  - {{ index . 1 }}
  {{- with $top.Values.controller.logFormat }}
  - --log-format={{ . }}
  {{- end }}
  env:
  - name: POD_NAMESPACE
    valueFrom:
      fieldRef:
        fieldPath: metadata.namespace
  {{- with $top.Values.controller.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  resources:
    {{- toYaml $top.Values.controller.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    runAsNonRoot: true
    capabilities:
      drop: [ALL]
{{- end -}}
{{- /* Labels and annotations of what runs before an uninstall. */ -}}
{{- define "tieline.uninstallHook" -}}
labels:
  app.kubernetes.io/name: tieline
  app.kubernetes.io/component: uninstall
annotations:
  helm.sh/hook: pre-delete
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
