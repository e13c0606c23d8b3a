package chain_test

import (
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Where the headers win, what the XML says of the images that they lead to is
// not lost: a secret is nowhere else.
func TestRefreshKeepsWhatTheXMLSaysOfAnImage(t *testing.T) {
	f := newFiles(t)
	f.put("base.qcow2", luksQcow2(t))
	f.symlink("base.qcow2", "link.qcow2")
	f.qcow2("gone.qcow2", img{backing: "base.qcow2", backingFormat: "qcow2"})
	secret := &libvirtxml.DomainDiskEncryption{Format: "luks", Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", Usage: "base"}}}
	encrypted := func(name string) chain.Layer {
		l := f.layer(name, probe.Qcow2)
		l.Source.Encryption = secret
		return l
	}
	volume := chain.Layer{Format: probe.Qcow2, From: chain.XML, Source: &libvirtxml.DomainDiskSource{
		Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "images", Volume: "base.qcow2"}, Encryption: secret}}
	for name, c := range map[string]struct {
		top    img
		middle chain.Layer // of the XML, which the headers do not have
		base   chain.Layer
		origin chain.Origin
	}{
		"an image less":          {img{backing: "base.qcow2", backingFormat: "qcow2"}, f.layer("gone.qcow2", probe.Qcow2), encrypted("base.qcow2"), chain.Header},
		"under another name":     {img{backing: "base.qcow2", backingFormat: "qcow2"}, f.layer("gone.qcow2", probe.Qcow2), encrypted("link.qcow2"), chain.Header},
		"a volume":               {img{backing: "base.qcow2", backingFormat: "qcow2"}, f.layer("gone.qcow2", probe.Qcow2), volume, chain.Header},
		"a format in the XML":    {img{backing: "base.qcow2"}, f.layer("gone.qcow2", probe.Qcow2), encrypted("base.qcow2"), chain.Probe},
		"another format above":   {img{backing: "gone.qcow2", backingFormat: "qcow2"}, f.layer("gone.qcow2", probe.Raw), encrypted("base.qcow2"), chain.Header},
		"more below the headers": {img{backing: f.path("base.qcow2"), backingFormat: "qcow2"}, f.layer("gone.qcow2", probe.QED), encrypted("base.qcow2"), chain.Header},
	} {
		t.Run(name, func(t *testing.T) {
			f.qcow2("top.qcow2", c.top)
			s := stated(f.layer("top.qcow2", probe.Qcow2), c.middle, c.base)
			s.Terminated = true
			w := &chain.Walker{Images: image.NewCache(storage.FileOpener{}), Volumes: pools{f.dir}, Policy: chain.Policy{Disagreement: chain.HeadersWin}}
			got, err := w.Walk(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != chain.Fixable {
				t.Fatalf("verdict %v: %+v", got.Verdict, got.Findings)
			}
			last := got.Layers[len(got.Layers)-1]
			if last.Source != c.base.Source || last.From != c.origin || last.Format != probe.Qcow2 {
				t.Errorf("the base is %+v, want the XML's", last)
			}
		})
	}
}

// How a server is reached stays, too, and so does a part of a file that both
// mean; of another part nothing is known.
func TestRefreshOnTheNetwork(t *testing.T) {
	f := newFiles(t)
	f.raw("whole", 1<<20)
	server := nbd("disk")
	server.Network.TLS = "yes"
	f.qcow2("top.qcow2", img{backing: "nbd://storage.example/disk", backingFormat: "raw"})
	s := stated(f.layer("top.qcow2", probe.Qcow2), f.layer("whole", probe.Raw), layerOf(server, probe.Raw))
	s.Terminated = true
	got := f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, s)
	wantFixable(t, got, 2)
	if got.Layers[1].Source != server {
		t.Errorf("%+v, want the XML's", got.Layers[1].Source.Network)
	}

	part := sliced(file(f.path("whole")), 512, 1024)
	for size, same := range map[string]bool{"1024": true, "2048": false} {
		f.qcow2("top.qcow2", img{backingFormat: "raw",
			backing: `json:{"driver":"raw","offset":512,"size":` + size + `,"file":{"driver":"file","filename":"` + f.path("whole") + `"}}`})
		s := stated(f.layer("top.qcow2", probe.Qcow2), f.layer("absent", probe.Raw), layerOf(part, probe.Raw))
		s.Terminated = true
		got := f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, s)
		wantFixable(t, got, 2)
		if (got.Layers[1].Source == part) != same {
			t.Errorf("a slice of %s bytes: %+v", size, got.Layers[1].Source)
		}
	}
}
