package tap

import (
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sampleOf fills a request: two of everything that is listed, with names and numbers.
func sampleOf(key, version int16) kmsg.Request {
	full, req := kmsg.RequestForKey(key), kmsg.RequestForKey(key)
	fillSample(reflect.ValueOf(full).Elem(), 0)
	full.SetVersion(version)
	req.SetVersion(version)
	if err := req.ReadFrom(full.AppendTo(nil)); err != nil { // it has no fields of other versions now
		panic(err)
	}
	return req
}

func fillSample(v reflect.Value, n int) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch x := f.Addr().Interface().(type) {
		case *string:
			*x = []string{testTopic, "other"}[n]
		case **string:
			s := []string{testTopic, "other"}[n]
			*x = &s
		case *topicID:
			*x = topicID{byte(n + 1)}
		case *[]int32:
			*x = []int32{0, 1}
		case *[]string:
			*x = []string{testTopic, "other"}
		case *int32:
			if name == "Partition" {
				*x = int32(n)
			}
		default:
			if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
				f.Set(reflect.MakeSlice(f.Type(), 2, 2))
				for j := range 2 {
					reset(f.Index(j))
					fillSample(f.Index(j), j)
				}
			}
		}
	}
}

// roundTrip is what a client reads of a response.
func roundTrip(t *testing.T, h header, resp kmsg.Response) kmsg.Response {
	t.Helper()
	frame := replyFrame(h, resp)
	got, _, err := readResponse(h, frame[sizeBytes:])
	if err != nil || got == nil {
		t.Fatalf("%s v%d: the answer cannot be read: %v", APIName(h.key), h.version, err)
	}
	return got
}

var sampleNames = func(topic string, id topicID) string {
	switch id {
	case topicID{1}:
		return testTopic
	case topicID{2}:
		return "other"
	}
	return topic
}

// TestRefusals: every API that can be refused is, in every version, wherever a broker would write the code: beside
// each partition that was asked for, or at the top, and every client reads it.
func TestRefusals(t *testing.T) {
	s := selection{naming: sampleNames}
	for _, key := range refusable {
		for version := int16(0); version <= highest(int16(key)); version++ {
			h := header{key: int16(key), version: version}
			req := sampleOf(int16(key), version)
			answer, part := s.refuse(req, "", kerr.NotCoordinator.Code)
			if part {
				t.Errorf("%s v%d: nothing is selected, and only a part is hit", key.Name(), version)
			}
			got := roundTrip(t, h, answer)
			codes := map[int64]int{}
			for _, c := range s.coded(got, "") {
				codes[c.v.FieldByName("ErrorCode").Int()]++
			}
			if codes[int64(kerr.NotCoordinator.Code)] == 0 {
				t.Errorf("%s v%d: the code does not reach the client: %v", key.Name(), version, codes)
			}
		}
	}
}

// TestClientsAPIs: what clients use to read, write and take part in groups can be refused.
func TestClientsAPIs(t *testing.T) {
	for _, name := range []string{
		"Produce", "Fetch", "ListOffsets", "Metadata", "OffsetCommit", "OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat", "LeaveGroup",
		"SyncGroup", "ApiVersions", "InitProducerId", "OffsetForLeaderEpoch", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn",
		"TxnOffsetCommit", "ConsumerGroupHeartbeat", "ShareGroupHeartbeat", "ShareFetch", "ShareAcknowledge", "DescribeCluster",
	} {
		key, err := ParseAPI(name)
		if err != nil || !slices.Contains(refusable, kmsg.Key(key)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSelectedPartition: the selected partition is hit, and nothing else; the rest of the
// request goes to the broker.
func TestSelectedPartition(t *testing.T) {
	s := selection{topic: testTopic, partitions: []int32{1}, naming: sampleNames}
	for _, key := range []kmsg.Key{
		kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.TxnOffsetCommit, kmsg.DeleteRecords, kmsg.OffsetForLeaderEpoch,
	} {
		for version := int16(0); version <= highest(int16(key)); version++ {
			req := sampleOf(int16(key), version)
			answer, part := s.refuse(req, "", kerr.NotLeaderForPartition.Code)
			if !part {
				t.Errorf("%s v%d: hit as a whole", key.Name(), version)
			}
			want := TopicPartition{testTopic, 1}
			for _, c := range s.coded(roundTrip(t, header{key: int16(key), version: version}, answer), "") {
				if hit := int16(c.v.FieldByName("ErrorCode").Int()) != 0; hit && c.at.TopicPartition != want {
					t.Errorf("%s v%d: %+v is hit", key.Name(), version, c.at)
				} else if !hit && c.level == ofPartition {
					t.Errorf("%s v%d: %+v is answered without being hit", key.Name(), version, c.at)
				}
			}
			s.prune(reflect.ValueOf(req).Elem(), place{}, func(p place) bool { return !s.names(p) })
			ps := partitionsOf(s.places(req, ""))
			if len(ps) != 3 || slices.Contains(ps, want) {
				t.Errorf("%s v%d: the broker is asked for %v", key.Name(), version, ps)
			}
			// Laid over the answer of the broker, it is hit there too.
			whole := skeleton(sampleOf(int16(key), version))
			s.layOver(whole, answer, kerr.NotLeaderForPartition.Code)
			hits := 0
			for _, c := range s.coded(roundTrip(t, header{key: int16(key), version: version}, whole), "") {
				if c.v.FieldByName("ErrorCode").Int() != 0 {
					hits++
					if c.at.TopicPartition != want {
						t.Errorf("%s v%d: %+v is hit in the broker's answer", key.Name(), version, c.at)
					}
				}
			}
			if hits == 0 {
				t.Errorf("%s v%d: nothing is hit in the broker's answer", key.Name(), version)
			}
		}
	}
}

// TestWhereCodesStand: brokers write some errors elsewhere than others.
func TestWhereCodesStand(t *testing.T) {
	s := selection{naming: sampleNames}
	refused := func(key kmsg.Key, version int16, code int16) kmsg.Response {
		answer, _ := s.refuse(sampleOf(int16(key), version), "", code)
		return roundTrip(t, header{key: int16(key), version: version}, answer)
	}
	if r := refused(kmsg.OffsetFetch, 7, kerr.NotCoordinator.Code).(*kmsg.OffsetFetchResponse); r.ErrorCode != 16 || len(r.Topics) != 0 {
		t.Errorf("an error of the group: %+v", r)
	}
	if r := refused(kmsg.OffsetFetch, 9, kerr.NotCoordinator.Code).(*kmsg.OffsetFetchResponse); r.Groups[0].ErrorCode != 16 || r.Groups[0].Group != testTopic {
		t.Errorf("an error of the group, in a list: %+v", r)
	}
	r := refused(kmsg.OffsetFetch, 9, kerr.UnstableOffsetCommit.Code).(*kmsg.OffsetFetchResponse)
	if p := r.Groups[0].Topics[0].Partitions[1]; r.Groups[0].ErrorCode != 0 || p.ErrorCode != kerr.UnstableOffsetCommit.Code || p.Offset != -1 {
		t.Errorf("an error of partitions: %+v", r)
	}
	if r := refused(kmsg.Fetch, 11, kerr.FetchSessionIDNotFound.Code).(*kmsg.FetchResponse); r.ErrorCode != 70 || len(r.Topics) != 0 {
		t.Errorf("an error of the fetch session: %+v", r)
	}
	if r := refused(kmsg.LeaveGroup, 5, kerr.UnknownMemberID.Code).(*kmsg.LeaveGroupResponse); r.ErrorCode != 0 || r.Members[0].ErrorCode != 25 {
		t.Errorf("an error of a member that leaves: %+v", r)
	}
	if r := refused(kmsg.FindCoordinator, 4, kerr.CoordinatorNotAvailable.Code).(*kmsg.FindCoordinatorResponse); len(r.Coordinators) != 2 || r.Coordinators[1].NodeID != -1 {
		t.Errorf("coordinators: %+v", r)
	}
	if r := refused(kmsg.ApiVersions, 3, kerr.UnsupportedVersion.Code).(*kmsg.ApiVersionsResponse); r.ErrorCode != 35 {
		t.Errorf("KIP-511: %+v", r)
	}
	one := selection{topic: testTopic, naming: sampleNames}
	answer, part := one.refuse(sampleOf(kmsg.AddPartitionsToTxn.Int16(), 3), "", kerr.ConcurrentTransactions.Code)
	add := answer.(*kmsg.AddPartitionsToTxnResponse)
	if part || add.Topics[0].Partitions[0].ErrorCode != 51 || add.Topics[1].Partitions[0].ErrorCode != kerr.OperationNotAttempted.Code {
		t.Errorf("all partitions or none: %v %+v", part, add)
	}
}
