"""The App API: reads of people, objects, segments and activities, and metadata."""
