{{- /* The reference of an image: tieline.image (list VALUES-OF-THE-IMAGE $). */ -}}
{{- define "tieline.image" -}}
{{- $image := index . 0 -}}
{{- $top := index . 1 -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $top.Chart.AppVersion }}{{ end }}
{{- end -}}
