#include "queue/sqlite/rows.h"

#include <algorithm>

#include "api/json.h"
#include "queue/failures.h"

namespace sterna::queue::sqlite {
namespace {

std::int64_t integer_or(const api::Json& json, const char* key, std::int64_t otherwise) {
  const auto found = json.find(key);
  return found == json.end() || !found->is_number_integer() ? otherwise : found->get<std::int64_t>();
}

std::string text_or_empty(const api::Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

// The column holds objects with a comma after each.
api::Json parse_list(std::string text) {
  if (text.empty()) return api::Json::array();
  text.back() = ']';
  text.insert(text.begin(), '[');
  api::Json list = api::Json::parse(text, nullptr, false);
  return list.is_array() ? list : api::Json::array();
}

std::vector<Attempt> parse_attempts(std::string text) {
  std::vector<Attempt> attempts;
  for (const api::Json& json : parse_list(std::move(text))) {
    attempts.push_back({.number = integer_or(json, "number", 0),
                        .started_at = from_millis(integer_or(json, "started_at", 0)),
                        .ended_at = from_millis(integer_or(json, "ended_at", 0)),
                        .duration = std::chrono::microseconds(integer_or(json, "run_us", 0)),
                        .outcome = text_or_empty(json, "outcome"),
                        .reason = text_or_empty(json, "reason"),
                        .status_code = static_cast<int>(integer_or(json, "status_code", 0)),
                        .instance = text_or_empty(json, "instance"),
                        .cold = integer_or(json, "cold", 0) != 0,
                        .queued = std::chrono::microseconds(integer_or(json, "queued_us", 0)),
                        .starting = std::chrono::microseconds(integer_or(json, "starting_us", 0))});
  }
  return attempts;
}

std::vector<DeliveryAttempt> parse_deliveries(std::string text) {
  std::vector<DeliveryAttempt> deliveries;
  for (const api::Json& json : parse_list(std::move(text))) {
    const std::int64_t status = integer_or(json, "status_code", 0);
    deliveries.push_back({.at = from_millis(integer_or(json, "at", 0)),
                          .outcome = text_or_empty(json, "outcome"),
                          .status_code = status == 0 ? std::nullopt : std::optional(static_cast<int>(status)),
                          .detail = text_or_empty(json, "detail")});
  }
  return deliveries;
}

std::string entry(const api::OrderedJson& json) {
  return json.dump(-1, ' ', false, api::Json::error_handler_t::replace) + ",";
}

class StoredBody final : public AnswerReader {
 public:
  StoredBody(std::shared_ptr<PartSource> source, std::uint64_t seq, std::uint64_t size)
      : source_(std::move(source)), seq_(seq), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(std::uint64_t offset, std::size_t limit, std::string& out) override {
    return source_->read(seq_, offset, limit, out);
  }

 private:
  const std::shared_ptr<PartSource> source_;
  const std::uint64_t seq_;
  const std::uint64_t size_;
};

class SmallBody final : public AnswerReader {
 public:
  explicit SmallBody(std::string bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<std::size_t> read(std::uint64_t offset, std::size_t limit, std::string& out) override {
    if (offset >= bytes_.size()) return std::size_t{0};
    const std::string_view part = std::string_view(bytes_).substr(offset, limit);
    out.append(part);
    return part.size();
  }

 private:
  const std::string bytes_;
};

}  // namespace

State state_of(StoredState stored) {
  if (stored <= StoredState::kDelayed) return State::kQueued;
  return static_cast<State>(stored);
}

StoredState stored_of(State settled) {
  STERNA_ASSERT(is_settled(settled));
  return static_cast<StoredState>(settled);
}
static_assert(static_cast<int>(State::kSucceeded) == static_cast<int>(StoredState::kSucceeded));
static_assert(static_cast<int>(State::kExpired) == static_cast<int>(StoredState::kExpired));

std::string attempt_text(const Attempt& attempt) {
  return entry({{"number", attempt.number},
                {"started_at", to_millis(attempt.started_at)},
                {"ended_at", to_millis(attempt.ended_at)},
                {"run_us", attempt.duration / std::chrono::microseconds(1)},
                {"outcome", attempt.outcome},
                {"reason", attempt.reason},
                {"status_code", attempt.status_code},
                {"instance", attempt.instance},
                {"cold", attempt.cold ? 1 : 0},
                {"queued_us", attempt.queued / std::chrono::microseconds(1)},
                {"starting_us", attempt.starting / std::chrono::microseconds(1)}});
}

std::string delivery_text(const DeliveryAttempt& delivery) {
  return entry({{"at", to_millis(delivery.at)},
                {"outcome", delivery.outcome},
                {"status_code", delivery.status_code.value_or(0)},
                {"detail", delivery.detail}});
}

Record read_record(const store::Statement& row, const FunctionName& function) {
  Record record;
  record.function = function;
  record.id = row.text(1);
  record.state = state_of(static_cast<StoredState>(row.integer(2)));
  record.created_at = from_millis(row.integer(3));
  record.not_before = from_millis(row.integer(4));
  if (const auto at = row.optional_integer(5)) record.started_at = from_millis(*at);
  if (const auto at = row.optional_integer(6)) record.ended_at = from_millis(*at);
  record.version = row.integer(7);
  record.status_code = static_cast<int>(row.integer(8));
  record.reason = row.text(9);
  record.delivery = static_cast<Delivery>(row.integer(10));
  record.callback_url = row.text(11);
  record.attempts = parse_attempts(row.text(12));
  record.deliveries = parse_deliveries(row.text(13));
  return record;
}

Result<Loaded> load_request(store::Database& database, std::uint64_t seq, net::BodyBudget& budget) {
  store::Statement row(
      database,
      "SELECT id, request, body, body_bytes, max_attempts, spent, attempt_count, callback_url, created_at"
      " FROM invocations WHERE seq = ?1 AND state <= ?2");
  row.bind(seq, StoredState::kDelayed);
  const Result<bool> there = row.step();
  if (!there) return std::unexpected(there.error());
  if (!*there) return ended_meanwhile();
  Loaded loaded{.id = row.text(0),
                .request = std::string(row.blob(1)),
                .body = net::Body(budget),
                .max_attempts = row.integer(4),
                .spent = row.integer(5),
                .attempt_count = row.integer(6),
                .callback_url = row.text(7),
                .created_at = row.integer(8)};
  if (const Status kept = loaded.body.append(row.blob(2)); !kept) return std::unexpected(kept.error());
  if (static_cast<std::uint64_t>(row.integer(3)) == loaded.body.size()) return loaded;
  store::Statement parts(database, "SELECT bytes FROM parts WHERE seq = ?1 AND kind = ?2 ORDER BY number");
  parts.bind(seq, PartKind::kRequest);
  while (true) {
    const Result<bool> more = parts.step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return loaded;
    if (const Status kept = loaded.body.append(parts.blob(0)); !kept) return std::unexpected(kept.error());
  }
}

bool is_inline(const net::Body& body) {
  return !body.spooled() && body.size() <= kInlineBytes;
}

Status write_parts(store::Database& database, std::uint64_t seq, PartKind kind, const net::Body& body) {
  std::int64_t number = 0;
  std::string part;
  for (std::uint64_t offset = 0; offset < body.size(); offset += part.size()) {
    part.clear();
    while (part.size() < kPartBytes && offset + part.size() < body.size()) {
      const auto got = body.read(offset + part.size(), kPartBytes - part.size(), part);
      if (!got) return std::unexpected(got.error());
    }
    const Status stored =
        store::Statement(database, "INSERT INTO parts(seq, kind, number, bytes) VALUES(?1, ?2, ?3, ?4)")
            .bind(seq, kind, number++, store::Blob{part})
            .run();
    if (!stored) return stored;
  }
  return {};
}

Status delete_parts(store::Database& database, std::uint64_t seq, PartKind kind) {
  return store::Statement(database, "DELETE FROM parts WHERE seq = ?1 AND kind = ?2").bind(seq, kind).run();
}

Result<std::size_t> PartSource::read(std::uint64_t seq, std::uint64_t offset, std::size_t limit,
                                     std::string& out) {
  const std::scoped_lock lock(mutex_);
  store::Statement row(*database_, "SELECT bytes FROM parts WHERE seq = ?1 AND kind = ?2 AND number = ?3");
  row.bind(seq, PartKind::kAnswer, offset / kPartBytes);
  const Result<bool> there = row.step();
  if (!there) return std::unexpected(there.error());
  if (!*there) return std::size_t{0};
  std::string_view bytes = row.blob(0);
  bytes.remove_prefix(std::min<std::size_t>(offset % kPartBytes, bytes.size()));
  bytes = bytes.substr(0, limit);
  out.append(bytes);
  return bytes.size();
}

std::unique_ptr<AnswerReader> stored_body(std::shared_ptr<PartSource> source, std::uint64_t seq,
                                          std::uint64_t size) {
  return std::make_unique<StoredBody>(std::move(source), seq, size);
}

std::unique_ptr<AnswerReader> small_body(std::string bytes) {
  return std::make_unique<SmallBody>(std::move(bytes));
}

}  // namespace sterna::queue::sqlite
