{{- define "tandem.labels" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: tandem
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "tandem.selector" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tandem.image" -}}
image: "{{ .repository }}@{{ .digest }}"
imagePullPolicy: {{ .pullPolicy }}
{{- end }}

{{/* What every pod has in common. No token is mounted but where a volume asks for one. */}}
{{- define "tandem.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.priorityClass.name }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.spread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: {{ . }}
    labelSelector:
      matchLabels: {{ include "tandem.selector" $ | nindent 8 }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "tandem.selector" $ | nindent 8 }}
{{- end }}
{{- end }}

{{- define "tandem.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* A token for this site's API server that holds for an hour and is not kept in any Secret, and whom the server is signed by. */}}
{{- define "tandem.account" -}}
name: account
projected:
  defaultMode: 288 # 0440
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3600}
    - configMap:
        name: kube-root-ca.crt
        items: [{key: ca.crt, path: ca.crt}]
{{- end }}

{{- define "tandem.secret" -}}
name: {{ .name }}
secret:
  secretName: {{ .secret }}
  defaultMode: 288 # 0440
  items:
{{- range .keys }}
    - {key: {{ . }}, path: {{ . }}}
{{- end }}
{{- end }}

{{/* The name is in the certificate of every API server. */}}
{{- define "tandem.kubeconfig" -}}
apiVersion: v1
kind: Config
current-context: site
clusters:
  - name: site
    cluster:
      server: https://kubernetes.default.svc
      certificate-authority: /var/run/tandem/account/ca.crt
contexts:
  - {name: site, context: {cluster: site, user: account}}
users:
  - {name: account, user: {tokenFile: /var/run/tandem/account/token}}
{{- end }}

{{- define "tandem.arbiter" -}}
endpoints: {{ toYaml .Values.arbiter.endpoints | nindent 2 }}
caFile: /etc/tandem/arbiter/ca.crt
certFile: /etc/tandem/arbiter/tls.crt
keyFile: /etc/tandem/arbiter/tls.key
{{- end }}

{{- define "tandem.operatorConfig" -}}
site: {{ .Values.site }}
sites: {{ toYaml .Values.sites | nindent 2 }}
preferredAuthority: {{ .Values.preferredSite }}
kubeconfig: /etc/tandem/config/kubeconfig
arbiter: {{ include "tandem.arbiter" . | nindent 2 }}
pinsFile: /var/lib/tandem/pins.json
listen: 0.0.0.0:8443
tls: {certFile: /etc/tandem/tls/tls.crt, keyFile: /etc/tandem/tls/tls.key}
secretsNamespace: {{ .Release.Namespace }}
{{- end }}

{{- define "tandem.apiConfig" -}}
site: {{ .Values.site }}
kubeconfig: /etc/tandem/config/kubeconfig
arbiter: {{ include "tandem.arbiter" . | nindent 2 }}
addresses: {{ toYaml .Values.api.addresses | nindent 2 }}
listen: 0.0.0.0:8443
tls: {certFile: /etc/tandem/tls/tls.crt, keyFile: /etc/tandem/tls/tls.key}
{{- if .Values.api.clientCertificates.caSecret }}
clientCertificates: {caFile: /etc/tandem/clients/ca.crt}
{{- end }}
{{- with .Values.api.oidc }}
{{- if .issuer }}
oidc:
  issuer: {{ .issuer }}
  audience: {{ .audience }}
  caFile: /etc/tandem/issuer/ca.crt
  roles: {{ toYaml .roles | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The port in an address, or the given one. */}}
{{- define "tandem.port" -}}
{{- $found := regexFind ":[0-9]+(/|$)" .url | trimAll ":/" -}}
{{- $found | default .usual -}}
{{- end }}

{{- define "tandem.cidrs" -}}
{{- range . }}
- ipBlock: {cidr: {{ . | quote }}}
{{- end }}
{{- end }}
