#include "worker/inbox.h"

#include <utility>

#include "wire/messages.h"

namespace sterna::worker {
namespace {

std::unexpected<Error> bad_frame(const char* detail) {
  return fail(Code::kInvalid, Component::kWorker, "bad_frame", detail);
}

Arrival arrival(Arrival::Kind kind, const wire::Frame& frame) {
  Arrival made;
  made.kind = kind;
  made.slot = frame.slot;
  made.call = frame.call;
  return made;
}

Arrival arrival_with_payload(Arrival::Kind kind, const wire::Frame& frame) {
  Arrival made = arrival(kind, frame);
  made.payload = frame.payload;
  made.more = frame.more;
  return made;
}

}  // namespace

Result<Arrival> Inbox::accept(const wire::Frame& frame) {
  if (frame.slot >= wire::kSlots) return bad_frame("slot beyond the claim page");
  switch (frame.type) {
    case wire::FrameType::kRequest:
      return begin(frame);
    case wire::FrameType::kRequestBody:
      return add_body(frame);
    case wire::FrameType::kCancel:
      return cancel(frame);
    case wire::FrameType::kShutdown:
      return arrival(Arrival::Kind::kShutdown, frame);
    case wire::FrameType::kWindow: {
      Arrival window = arrival(Arrival::Kind::kWindow, frame);
      if (const Status read = wire::read_window(frame.payload, window.bytes); !read) {
        return std::unexpected(read.error());
      }
      return window;
    }
    default:
      return bad_frame("a frame that the server may not send to a worker that is serving");
  }
}

Result<Arrival> Inbox::begin(const wire::Frame& frame) {
  if (passes_parts_ || frame.more == wire::More::kNo)
    return arrival_with_payload(Arrival::Kind::kRequest, frame);
  if (open_.size() >= wire::kSlots) return bad_frame("too many unfinished requests");
  if (!open_.try_emplace(frame.call, frame.payload).second) return bad_frame("a call's REQUEST came twice");
  return Arrival{};
}

Result<Arrival> Inbox::add_body(const wire::Frame& frame) {
  if (passes_parts_) return arrival_with_payload(Arrival::Kind::kBody, frame);
  const auto found = open_.find(frame.call);
  if (found == open_.end()) return Arrival{};  // cancelled while its body was on the way
  if (found->second.size() + frame.payload.size() > kMaxRequestBytes)
    return bad_frame("request is too large");
  found->second.append(frame.payload);
  if (frame.more == wire::More::kYes) return Arrival{};
  Arrival request = arrival(Arrival::Kind::kRequest, frame);
  request.payload = std::move(found->second);
  open_.erase(found);
  return request;
}

Arrival Inbox::cancel(const wire::Frame& frame) {
  const bool unfinished = open_.erase(frame.call) != 0;
  return arrival(unfinished ? Arrival::Kind::kCancelUnstarted : Arrival::Kind::kCancel, frame);
}

}  // namespace sterna::worker
