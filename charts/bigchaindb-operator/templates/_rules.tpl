{{- /* What the operator may do where it runs nodes. Nothing is granted with a wildcard; `patch` is server-side apply
and, for the authority's Secret and finalizers, a patch: nothing is replaced, so `update` is not needed. */ -}}
{{- define "operator.rules" -}}
# Reads the nodes and clusters that people ask for; writes its finalizer, and the cluster of a node that names none, which
# goes with that node.
- apiGroups: [bigchaindb.com]
  resources: [bigchainnodes]
  verbs: [get, list, watch, patch]
- apiGroups: [bigchaindb.com]
  resources: [bigchainclusters]
  verbs: [get, list, watch, create, delete]
# Says how nodes are.
- apiGroups: [bigchaindb.com]
  resources: [bigchainnodes/status]
  verbs: [patch]
# A node owns what is made for it: API servers that check owner references (OwnerReferencesPermissionEnforcement) ask for
# this before the deletion of an owner may be blocked.
- apiGroups: [bigchaindb.com]
  resources: [bigchainnodes/finalizers]
  verbs: [update]
# Makes key pairs and certificates, and reads those that people supply. Rights cannot be narrowed to a label or to names
# that are not known yet: whoever does not want this for all namespaces sets watchNamespace.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# Configurations, what the operator has to remember, addresses, and identities without rights for the pods.
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, create, patch, delete]
# The volumes of ledgers; deleted only if the node's deletionPolicy says so.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
# Sees why a pod does not start, and restarts a database by deleting its pod; makes none itself.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
# The workloads of a node: database, server, gateway.
- apiGroups: [apps]
  resources: [statefulsets, deployments]
  verbs: [get, list, watch, create, patch, delete]
# Keeps a drain from taking two databases of a replica set at once.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, create, patch, delete]
# Who may reach a node's pods.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, create, patch, delete]
# Tells people what happens; a repeated event is counted in the first one.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
