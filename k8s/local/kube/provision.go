package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// The name that the StorageClass knows the provisioner by.
const provisioner = "bigchaindb.com/local"

// Set by Kubernetes on a claim whose volume is to be made, and on the one whose pod has been given a node.
const (
	annotationProvisioner  = "volume.kubernetes.io/storage-provisioner"
	annotationSelectedNode = "volume.kubernetes.io/selected-node"
	annotationProvisioned  = "pv.kubernetes.io/provisioned-by"
)

// How long what failed waits for the next try, if nothing else happens before.
const retryAfter = 5 * time.Second

type volumes struct {
	client kubernetes.Interface
	claims listers.PersistentVolumeClaimLister
	made   listers.PersistentVolumeLister
	folder string
}

// provision makes a volume for each claim that waits for one, a folder of its own below the given one, and removes it
// when its claim is gone. Arguments: a kubeconfig and the folder, which all nodes see under the same path: a pod
// may be scheduled to another node and finds its data there, as on a network volume.
func provision(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("usage: provision KUBECONFIG FOLDER")
	}
	config, err := clientcmd.BuildConfigFromFlags("", arguments[0])
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // A look at everything is due already.
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	claims := factory.Core().V1().PersistentVolumeClaims()
	made := factory.Core().V1().PersistentVolumes()
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), made.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	v := volumes{client: client, claims: claims.Lister(), made: made.Lister(), folder: arguments[1]}
	for {
		var retry <-chan time.Time
		if err := v.reconcile(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			retry = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry:
		}
	}
}

// reconcile looks at all claims and volumes; one that fails does not keep it from the others.
func (v volumes) reconcile(ctx context.Context) error {
	var failed []error
	claims, err := v.claims.List(labels.Everything())
	failed = append(failed, err)
	for _, claim := range claims {
		if wanted(claim) {
			failed = append(failed, v.create(ctx, claim))
		}
	}
	made, err := v.made.List(labels.Everything())
	failed = append(failed, err)
	for _, volume := range made {
		if abandoned(volume) {
			failed = append(failed, v.remove(ctx, volume))
		}
	}
	return errors.Join(failed...)
}

// wanted tells whether the claim waits for a volume of ours, and its pod for nothing else.
func wanted(claim *core.PersistentVolumeClaim) bool {
	return claim.Annotations[annotationProvisioner] == provisioner && claim.Annotations[annotationSelectedNode] != "" &&
		claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil
}

// abandoned tells whether the volume is ours and its claim gone.
func abandoned(volume *core.PersistentVolume) bool {
	return volume.Annotations[annotationProvisioned] == provisioner && volume.Status.Phase == core.VolumeReleased &&
		volume.Spec.PersistentVolumeReclaimPolicy == core.PersistentVolumeReclaimDelete && volume.DeletionTimestamp == nil
}

func (v volumes) create(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
	if _, err := v.made.Get(name); err == nil {
		return nil
	}
	path := filepath.Join(v.folder, name)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// The mode above was lessened by the umask. Pods without root have to write; an fsGroup is set by the kubelet.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{annotationProvisioned: provisioner}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              *claim.Spec.StorageClassName,
			ClaimRef: &core.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name,
				UID: claim.UID, ResourceVersion: claim.ResourceVersion,
			},
			// Not hostPath: the kubelet gives a local volume to the pod's fsGroup, as it does with network volumes.
			PersistentVolumeSource: core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelHostname, Operator: core.NodeSelectorOpExists}},
			}}}},
		},
	}
	_, err := v.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (v volumes) remove(ctx context.Context, volume *core.PersistentVolume) error {
	// Not by the path in the volume, which others may write.
	if err := os.RemoveAll(filepath.Join(v.folder, volume.Name)); err != nil {
		return err
	}
	err := v.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
