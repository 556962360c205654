// Ringway, a shared-memory message bus for processes on one Linux machine. Include this.
//
//   bus.hpp         Bus: opens, creates, removes, lists
//   publisher.hpp   Publisher, Claim, TypedPublisher, TypedClaim
//   message.hpp     Message
//   reader.hpp      Reader: what subscribers and observers share
//   subscriber.hpp  Subscriber, TypedSubscriber
//   observer.hpp    Observer, TypedObserver
//   group.hpp       GroupMember, Job, TypedGroupMember, TypedJob
//   options.hpp     what can be chosen, with its defaults
//   types.hpp       what a typed topic may carry
//   info.hpp        what can be seen from outside
//   watch.hpp       Watch: looking again and again
//   error.hpp       Code, Status, Error
//
// Thread safety, progress, crash: see each header.
#pragma once

#include "ringway/bus.hpp"
#include "ringway/error.hpp"
#include "ringway/group.hpp"
#include "ringway/info.hpp"
#include "ringway/message.hpp"
#include "ringway/observer.hpp"
#include "ringway/options.hpp"
#include "ringway/publisher.hpp"
#include "ringway/reader.hpp"
#include "ringway/subscriber.hpp"
#include "ringway/types.hpp"
#include "ringway/watch.hpp"
