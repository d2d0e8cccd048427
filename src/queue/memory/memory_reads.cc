// Callbacks that are due, and what users see.
#include <algorithm>
#include <ranges>
#include <utility>

#include "base/number.h"
#include "queue/failures.h"
#include "queue/memory/memory_queue.h"

namespace sterna::queue {
namespace {

constexpr std::size_t kSmallBody = 64U << 10U;  // sent whole; larger ones are read piece by piece

class SharedBody final : public AnswerReader {
 public:
  explicit SharedBody(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_->size(); }
  Result<std::size_t> read(std::uint64_t offset, std::size_t limit, std::string& out) override {
    if (offset >= bytes_->size()) return std::size_t{0};
    const std::string_view part = std::string_view(*bytes_).substr(offset, limit);
    out.append(part);
    return part.size();
  }

 private:
  const std::shared_ptr<const std::string> bytes_;  // the queue may let go of it before the reader does
};

}  // namespace

// --- Outbox ---

std::size_t MemoryQueue::pending_deliveries() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      entries_, [](const auto& known) { return known.second.record.delivery == Delivery::kPending; }));
}

MemoryQueue::Entry* MemoryQueue::next_delivery() {
  Entry* next = nullptr;
  for (auto& [seq, entry] : entries_) {
    if (entry.record.delivery != Delivery::kPending || entry.sending ||
        entry.delivery_due > loop_.clock().now())
      continue;
    if (next == nullptr || entry.delivery_due < next->delivery_due) next = &entry;
  }
  return next;
}

bool MemoryQueue::take_delivery(Done<DueDelivery> done) {
  Entry* next = next_delivery();
  if (next == nullptr) return false;
  next->sending = true;
  post([this, seq = next->seq, done = std::move(done)]() mutable {
    const auto known = entries_.find(seq);
    if (known == entries_.end() || !known->second.sending) return done(ended_meanwhile());
    Entry& entry = known->second;
    if (!entry.superseded && entry.answer) return done(delivery_of(entry, *entry.answer));
    entry.sending = entry.superseded = false;
    done(ended_meanwhile());
  });
  return true;
}

DueDelivery MemoryQueue::delivery_of(const Entry& entry, const Kept& answer) const {
  const Record& record = entry.record;
  const bool small = answer.body->size() <= kSmallBody;
  const bool ran = record.state != State::kExpired;  // an answer may be of no run
  return {.seq = entry.seq,
          .function = record.function,
          .id = record.id,
          .callback_url = record.callback_url,
          .status_code = record.status_code,
          .attempt = static_cast<std::int64_t>(record.attempts.size()),
          .started_at = ran ? record.attempts.back().started_at : record.ended_at.value_or(now()),
          .duration = ran ? record.attempts.back().duration : Duration(),
          .tried = entry.delivery_tried,
          .since = entry.delivery_since,
          .header_count = answer.header_count,
          .headers = answer.headers,
          .body = small ? *answer.body : std::string(),
          .large = small ? nullptr : std::make_unique<SharedBody>(answer.body)};
}

void MemoryQueue::end_delivery(std::uint64_t seq, DeliveryEnd end) {
  post([this, seq, end = std::move(end)] {
    const auto known = entries_.find(seq);
    if (known == entries_.end() || !known->second.sending) return;
    Entry& entry = known->second;
    entry.sending = false;
    if (std::exchange(entry.superseded, false)) return delivery_wanted_();
    if (end.tried) {
      entry.record.deliveries.push_back(*end.tried);
      ++entry.delivery_tried;
    }
    if (end.again_at) {
      entry.delivery_due = loop_.clock().now() + (*end.again_at - now());
    } else {
      entry.record.delivery = end.end;
    }
  });
}

void MemoryQueue::redeliver(const std::string& function_id, const std::string& id, Done<void> done) {
  post([this, function_id, id, done = std::move(done)]() mutable {
    const auto found = known(function_id, id);
    if (!found) return done(std::unexpected(found.error()));
    Entry& entry = **found;
    if (entry.waits()) return done(not_ended());
    if (entry.record.callback_url.empty() || !entry.answer) return done(no_callback());
    entry.record.delivery = Delivery::kPending;
    entry.delivery_due = loop_.clock().now();
    entry.delivery_since = loop_.clock().now();
    entry.delivery_tried = 0;
    delivery_wanted_();
    done({});
  });
}

// --- Invocations ---

bool MemoryQueue::is_running(const Entry& entry) const {
  if (!entry.held) return false;
  return entry.held->settling ||
         (observer_ != nullptr && observer_->is_running({.seq = entry.seq, .epoch = entry.held->epoch}));
}

Record MemoryQueue::record_of(const Entry& entry) const {
  Record record = entry.record;
  if (!is_running(entry)) return record;
  record.state = State::kRunning;
  if (!record.started_at) record.started_at = entry.held->taken_at;
  return record;
}

void MemoryQueue::find(const std::string& function_id, const std::string& id, Done<Record> done) {
  post([this, function_id, id, done = std::move(done)]() mutable {
    const auto entry = known(function_id, id);
    if (!entry) return done(std::unexpected(entry.error()));
    done(record_of(**entry));
  });
}

void MemoryQueue::list(const std::string& function_id, const Filter& filter, std::size_t limit,
                       const std::string& cursor, Done<Listing> done) {
  post([this, function_id, filter, limit, cursor, done = std::move(done)]() mutable {
    const auto from = cursor.empty() ? UINT64_MAX : parse_number<std::uint64_t>(cursor);
    if (!from) return done(bad_cursor());
    std::uint64_t before = *from;
    Listing listing;
    for (const auto& [seq, entry] : std::views::reverse(entries_)) {
      Record record = record_of(entry);
      if (seq >= before || record.function.id != function_id) continue;
      if (filter.state && record.state != *filter.state) continue;
      if (filter.delivery && record.delivery != *filter.delivery) continue;
      if (listing.records.size() == limit) {
        listing.next_cursor = std::to_string(before);
        break;
      }
      listing.records.push_back(std::move(record));
      before = seq;
    }
    done(std::move(listing));
  });
}

void MemoryQueue::answer(const std::string& function_id, const std::string& id, Done<StoredAnswer> done) {
  post([this, function_id, id, done = std::move(done)]() mutable {
    const auto found = known(function_id, id);
    if (!found) return done(std::unexpected(found.error()));
    const Entry& entry = **found;
    if (entry.waits()) return done(not_ended());
    if (!entry.answer) return done(no_answer());
    done(StoredAnswer{.status_code = entry.record.status_code,
                      .header_count = entry.answer->header_count,
                      .headers = entry.answer->headers,
                      .body = std::make_unique<SharedBody>(entry.answer->body)});
  });
}

Depth MemoryQueue::depth(const std::string& function_id) const {
  Depth depth;
  for (const auto& [seq, entry] : entries_) {
    if (entry.record.function.id != function_id || !entry.waits()) continue;
    ++depth.waiting;
    if (entry.held) ++depth.leased;
    if (is_running(entry)) ++depth.running;
    if (is_running(entry) || entry.due_at > now()) continue;
    depth.oldest = std::min(depth.oldest.value_or(entry.due_at), entry.due_at);
  }
  return depth;
}

}  // namespace sterna::queue
