#include "store/statement.h"

#include <sqlite3.h>

#include "base/log.h"

namespace sterna::store {

Statement::Statement(Database& database, std::string_view sql)
    : database_(database), statement_(database.borrow(sql)) {
  if (statement_ == nullptr) error_ = last_error(database_.handle_);
}

Statement::~Statement() {
  if (statement_ != nullptr) database_.give_back(statement_);
}

Result<bool> Statement::step() {
  if (error_) return std::unexpected(*error_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return std::unexpected(last_error(database_.handle_));
}

Status Statement::run() {
  while (true) {
    Result<bool> row = step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
  }
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string Statement::text(int column) const {
  const unsigned char* bytes = sqlite3_column_text(statement_, column);
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Statement::blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::optional<std::int64_t> Statement::optional_integer(int column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

void Statement::bind_integer(int index, std::int64_t value) {
  if (statement_ != nullptr) check(sqlite3_bind_int64(statement_, index, value));
}

void Statement::bind_text(int index, std::string_view value) {
  if (statement_ == nullptr) return;
  // A view without data would be bound as NULL.
  const char* data = value.data() == nullptr ? "" : value.data();
  check(sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Statement::bind_blob(int index, std::string_view bytes) {
  if (statement_ == nullptr) return;
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  check(sqlite3_bind_blob64(statement_, index, data, bytes.size(), SQLITE_STATIC));
}

void Statement::bind_null(int index) {
  if (statement_ != nullptr) check(sqlite3_bind_null(statement_, index));
}

void Statement::check(int code) {
  if (code != SQLITE_OK && !error_) error_ = last_error(database_.handle_);
}

Transaction::~Transaction() {
  if (!open_) return;
  if (const Status undone = database_.execute("ROLLBACK"); !undone) {
    log::warn("database rolled back by itself", {{"detail", std::string_view(undone.error().detail)}});
  }
}

Status Transaction::begin() {
  Status begun = Statement(database_, "BEGIN IMMEDIATE").run();
  open_ = begun.has_value();
  return begun;
}

Status Transaction::commit() {
  Status done = Statement(database_, "COMMIT").run();
  if (done) open_ = false;
  return done;
}

}  // namespace sterna::store
