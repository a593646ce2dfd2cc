package main

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// addEventConversions: an events.k8s.io/v1 Event is stored as a core one, as upstream does.
func addEventConversions(s *runtime.Scheme) {
	convert := func(from, to any, f func(from, to any)) {
		utilruntime.Must(s.AddConversionFunc(from, to, func(from, to any, _ conversion.Scope) error {
			f(from, to)
			return nil
		}))
	}
	convert(&eventsv1.Event{}, &corev1.Event{}, func(from, to any) { toCoreEvent(from.(*eventsv1.Event), to.(*corev1.Event)) })
	convert(&corev1.Event{}, &eventsv1.Event{}, func(from, to any) { fromCoreEvent(from.(*corev1.Event), to.(*eventsv1.Event)) })
	convert(&eventsv1.EventList{}, &corev1.EventList{}, func(from, to any) {
		in, out := from.(*eventsv1.EventList), to.(*corev1.EventList)
		out.ListMeta, out.Items = in.ListMeta, make([]corev1.Event, len(in.Items))
		for i := range in.Items {
			toCoreEvent(&in.Items[i], &out.Items[i])
		}
	})
	convert(&corev1.EventList{}, &eventsv1.EventList{}, func(from, to any) {
		in, out := from.(*corev1.EventList), to.(*eventsv1.EventList)
		out.ListMeta, out.Items = in.ListMeta, make([]eventsv1.Event, len(in.Items))
		for i := range in.Items {
			fromCoreEvent(&in.Items[i], &out.Items[i])
		}
	})
}

func toCoreEvent(in *eventsv1.Event, out *corev1.Event) {
	*out = corev1.Event{ObjectMeta: in.ObjectMeta, InvolvedObject: in.Regarding, Reason: in.Reason, Message: in.Note, Type: in.Type,
		EventTime: in.EventTime, Action: in.Action, Related: in.Related, ReportingController: in.ReportingController,
		ReportingInstance: in.ReportingInstance, Source: in.DeprecatedSource, FirstTimestamp: in.DeprecatedFirstTimestamp,
		LastTimestamp: in.DeprecatedLastTimestamp, Count: in.DeprecatedCount}
	if in.Series != nil {
		out.Series = &corev1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
}

func fromCoreEvent(in *corev1.Event, out *eventsv1.Event) {
	*out = eventsv1.Event{ObjectMeta: in.ObjectMeta, Regarding: in.InvolvedObject, Reason: in.Reason, Note: in.Message, Type: in.Type,
		EventTime: in.EventTime, Action: in.Action, Related: in.Related, ReportingController: in.ReportingController,
		ReportingInstance: in.ReportingInstance, DeprecatedSource: in.Source, DeprecatedFirstTimestamp: in.FirstTimestamp,
		DeprecatedLastTimestamp: in.LastTimestamp, DeprecatedCount: in.Count}
	if in.Series != nil {
		out.Series = &eventsv1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
}
